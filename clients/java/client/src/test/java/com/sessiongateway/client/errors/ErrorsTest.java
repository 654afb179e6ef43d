package com.sessiongateway.client.errors;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertSame;

import com.google.protobuf.Any;
import com.google.rpc.BadRequest;
import com.google.rpc.ErrorInfo;
import com.google.rpc.RetryInfo;
import com.sessiongateway.v1.AppVersion;
import com.sessiongateway.v1.ErrorCode;
import com.sessiongateway.v1.ErrorDetail;
import io.grpc.Metadata;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import java.time.Duration;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class ErrorsTest {
  private static final Metadata.Key<byte[]> DETAILS =
      Metadata.Key.of("grpc-status-details-bin", Metadata.BINARY_BYTE_MARSHALLER);

  @Test
  void eachCodeHasAClassOfItsOwn() {
    Set<Class<?>> classes = new HashSet<>();
    int codes = 0;
    for (ErrorCode code : ErrorCode.values()) {
      if (code != ErrorCode.UNRECOGNIZED && code.getNumber() != 0) {
        codes++;
        SessionGatewayException error = Errors.from(ErrorDetail.newBuilder().setCode(code).build());
        assertEquals(code.name().substring("ERROR_CODE_".length()), error.code());
        assertNotEquals(SessionGatewayException.class, error.getClass(), error.code());
        classes.add(error.getClass());
      }
    }
    assertEquals(27, codes);
    assertEquals(codes, classes.size());
  }

  @Test
  void everyDetailIsRead() {
    ErrorDetail detail =
        ErrorDetail.newBuilder()
            .setCode(ErrorCode.ERROR_CODE_APP_ERROR)
            .setHttpStatus(500)
            .setRunStateValue(3)
            .setSessionId("sess_x")
            .setEndReasonValue(4)
            .setCallId("call_x")
            .setErrorId("err_x")
            .setAppFailure(
                com.sessiongateway.v1.AppFailure.newBuilder()
                    .setType("ValueError")
                    .setMessage("größer 𝄞")
                    .setTraceback("line"))
            .setWorkerExit(com.sessiongateway.v1.WorkerExit.newBuilder().setSignal(9))
            .setSessionApp(AppVersion.newBuilder().setApp("kv").setVersion("1"))
            .setRequestedApp(AppVersion.newBuilder().setApp("kv"))
            .build();
    SessionGatewayException error =
        status(
            Status.UNKNOWN,
            detail,
            info("APP_ERROR", Map.of("app", "kv")),
            RetryInfo.newBuilder()
                .setRetryDelay(com.google.protobuf.Duration.newBuilder().setNanos(10_000_000))
                .build(),
            BadRequest.newBuilder()
                .addFieldViolations(
                    BadRequest.FieldViolation.newBuilder()
                        .setField("input.a")
                        .setDescription("is wrong"))
                .build());
    assertSame(AppErrorException.class, error.getClass());
    assertEquals("APP_ERROR: as asked", error.getMessage());
    assertEquals("as asked", error.description());
    assertEquals(Status.Code.UNKNOWN, error.grpcStatus());
    assertEquals(500, error.httpStatus());
    assertEquals(RunState.COMPLETED, error.runState());
    assertEquals("sess_x", error.sessionId());
    assertEquals(EndReason.FIRST_CALL_FAILED, error.endReason());
    assertEquals("call_x", error.callId());
    assertEquals("err_x", error.errorId());
    assertEquals(new AppFailure("ValueError", "größer 𝄞", "line"), error.appFailure());
    assertEquals(new WorkerExit(null, 9), error.workerExit());
    assertEquals("kv@1", error.sessionApp());
    assertEquals("kv", error.requestedApp());
    assertEquals(Duration.ofMillis(10), error.retryAfter());
    assertEquals(List.of(new FieldViolation("input.a", "is wrong")), error.fieldViolations());
    assertEquals(Map.of("app", "kv"), error.metadata());
    assertEquals(detail, error.details());
  }

  @Test
  void aCodeOfANewerGatewayIsToldByItsReason() {
    ErrorDetail detail =
        ErrorDetail.newBuilder()
            .setCodeValue(999)
            .setRunStateValue(77)
            .setEndReasonValue(99)
            .build();
    SessionGatewayException error =
        status(Status.ABORTED, detail, info("MOON_PHASE", Map.of("httpStatus", "418")));
    assertSame(SessionGatewayException.class, error.getClass());
    assertEquals("MOON_PHASE", error.code());
    assertEquals(RunState.UNRECOGNIZED, error.runState());
    assertEquals("unknown_77", error.runStateName());
    assertEquals(EndReason.UNRECOGNIZED, error.endReason());
    assertEquals("unknown_99", error.endReasonName());
    assertEquals(418, error.httpStatus());
  }

  @Test
  void aCodeOfANewerGatewayWithoutAReasonIsToldByItsNumber() {
    assertEquals(
        "UNKNOWN_999", Errors.from(ErrorDetail.newBuilder().setCodeValue(999).build()).code());
  }

  @Test
  void aReasonWithoutOurDetailIsEnough() {
    SessionGatewayException error =
        status(Status.FAILED_PRECONDITION, info("SESSION_EXPIRED", Map.of("httpStatus", "410")));
    assertSame(SessionExpiredException.class, error.getClass());
    assertEquals(410, error.httpStatus());
    assertNull(error.details());
  }

  @Test
  void detailsOfAnotherServiceSayNothing() {
    ErrorInfo foreign =
        ErrorInfo.newBuilder().setDomain("elsewhere").setReason("SESSION_EXPIRED").build();
    SessionGatewayException error = status(Status.PERMISSION_DENIED, foreign);
    assertSame(SessionGatewayException.class, error.getClass());
    assertEquals("PERMISSION_DENIED", error.code());
  }

  @Test
  void garbageDoesNotHideTheStatus() {
    Metadata trailers = new Metadata();
    trailers.put(DETAILS, new byte[] {(byte) 0xff, 1, 2});
    SessionGatewayException error = Errors.from(Status.ABORTED, trailers, RunState.UNKNOWN);
    assertEquals("ABORTED", error.code());
    assertEquals(RunState.UNKNOWN, error.runState());
  }

  @ParameterizedTest
  @EnumSource(
      value = Status.Code.class,
      names = {"OK"},
      mode = EnumSource.Mode.EXCLUDE)
  void aBareStatusIsToldByItsGrpcName(Status.Code code) {
    SessionGatewayException error = Errors.from(code.toStatus(), null, RunState.UNKNOWN);
    Class<?> expected =
        switch (code) {
          case UNAVAILABLE -> UnavailableException.class;
          case DEADLINE_EXCEEDED -> DeadlineExceededException.class;
          case CANCELLED -> CancelledException.class;
          default -> SessionGatewayException.class;
        };
    assertSame(expected, error.getClass());
    assertEquals(code.name(), error.code());
    assertEquals(RunState.UNKNOWN, error.runState());
    assertNull(error.details());
  }

  @Test
  void theCauseOfABrokenConnectionIsInTheMessage() {
    Status status =
        Status.UNAVAILABLE.withDescription("io exception").withCause(new Exception("refused"));
    assertEquals(
        "UNAVAILABLE: io exception: refused", Errors.from(status, null, null).getMessage());
  }

  private static ErrorInfo info(String reason, Map<String, String> metadata) {
    return ErrorInfo.newBuilder()
        .setDomain("sessiongateway")
        .setReason(reason)
        .putAllMetadata(metadata)
        .build();
  }

  private static SessionGatewayException status(
      Status status, com.google.protobuf.Message... details) {
    com.google.rpc.Status.Builder packed = com.google.rpc.Status.newBuilder();
    for (com.google.protobuf.Message detail : details) {
      packed.addDetails(Any.pack(detail));
    }
    Metadata trailers = new Metadata();
    trailers.put(DETAILS, packed.build().toByteArray());
    return Errors.from(new StatusRuntimeException(status.withDescription("as asked"), trailers));
  }
}
