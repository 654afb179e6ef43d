package com.sessiongateway.client.live;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.google.rpc.BadRequest;
import com.google.rpc.ErrorInfo;
import com.sessiongateway.client.RunResult;
import com.sessiongateway.client.RunStream;
import com.sessiongateway.client.SessionGatewayClient;
import com.sessiongateway.client.errors.AppErrorException;
import com.sessiongateway.client.errors.CancelledException;
import com.sessiongateway.client.errors.DeadlineExceededException;
import com.sessiongateway.client.errors.InvalidRequestException;
import com.sessiongateway.client.errors.RunState;
import com.sessiongateway.client.errors.UnavailableException;
import com.sessiongateway.client.errors.WorkerExit;
import com.sessiongateway.client.errors.WorkerLostException;
import com.sessiongateway.v1.ErrorCode;
import com.sessiongateway.v1.ErrorDetail;
import com.sessiongateway.v1.RunRequest;
import com.sessiongateway.v1.SessionServiceGrpc;
import io.grpc.Grpc;
import io.grpc.InsecureChannelCredentials;
import io.grpc.ManagedChannel;
import io.grpc.StatusRuntimeException;
import io.grpc.protobuf.StatusProto;
import java.io.IOException;
import java.math.BigInteger;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicReference;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;

class RunLiveTest {
  private static Gateway gateway;
  private static SessionGatewayClient client;

  @BeforeAll
  static void start() throws IOException {
    gateway = Gateway.start();
    client = gateway.client();
  }

  @AfterAll
  static void stop() throws Exception {
    client.close();
    gateway.close();
  }

  @Test
  void integersAndTextOfAllPlanesComeBackExactly() {
    BigInteger large = new BigInteger("-123456789012345678901234567890");
    Map<String, Object> input = Map.of("n", large, "t", "aß€𝄞😀", "d", 0.1);
    RunResult result = client.run(run -> run.app("probe").input(input));
    JsonNode back = result.output().tree().path("input");
    assertEquals(large, back.path("n").bigIntegerValue());
    assertEquals("aß€𝄞😀", back.path("t").asText());
    assertEquals(0.1, back.path("d").asDouble());
    assertNull(result.sessionId());
    assertNull(result.session());
  }

  @Test
  void wrongFieldsAreNamedAllAtOnce() {
    InvalidRequestException error =
        assertThrows(
            InvalidRequestException.class,
            () -> client.run(run -> run.app("no name").session("abc")));
    assertEquals(
        List.of("app", "session"),
        error.fieldViolations().stream().map(each -> each.field()).toList());
    assertEquals(RunState.NOT_STARTED, error.runState());
    assertEquals(400, error.httpStatus());
    assertTrue(error.getStackTrace()[0].getClassName().startsWith("com.sessiongateway"));
  }

  @Test
  void whatAnAppRaisesIsTold() {
    AppErrorException error =
        assertThrows(
            AppErrorException.class,
            () -> client.run(r -> r.app("probe").function("fail").input(Map.of("text", "größer"))));
    assertEquals("größer", error.appFailure() == null ? null : error.appFailure().message());
    assertEquals(RunState.COMPLETED, error.runState());
  }

  @Test
  void aWorkerThatDiesIsToldWithItsSignal() {
    WorkerLostException error =
        assertThrows(
            WorkerLostException.class,
            () -> client.run(r -> r.app("probe").function("die").input(Map.of("signal", 9))));
    assertEquals(new WorkerExit(null, 9), error.workerExit());
  }

  @Test
  void interruptingTheThreadCancelsTheRun() throws Exception {
    try (Gate gate = new Gate()) {
      AtomicReference<Throwable> seen = new AtomicReference<>();
      Thread thread =
          new Thread(
              () ->
                  seen.set(
                      assertThrows(
                          CancelledException.class,
                          () ->
                              client.run(
                                  run ->
                                      run.app("probe")
                                          .function("hold")
                                          .input(Map.of("gate", gate.path()))))));
      thread.start();
      try (Gate.Arrival held = gate.arrival()) {
        thread.interrupt();
        held.departure();
      }
      thread.join();
      assertNotNull(seen.get());
    }
  }

  @Test
  void cancellingTheFutureCancelsTheRun() throws Exception {
    try (Gate gate = new Gate()) {
      CompletableFuture<RunResult> run =
          client.runAsync(
              params -> params.app("probe").function("hold").input(Map.of("gate", gate.path())));
      try (Gate.Arrival held = gate.arrival()) {
        assertTrue(run.cancel(true));
        held.departure();
      }
    }
  }

  @Test
  void aDeadlineEndsARunThatHasStartedWithAnUnknownState() throws Exception {
    try (Gate gate = new Gate()) {
      DeadlineExceededException error =
          assertThrows(
              DeadlineExceededException.class,
              () ->
                  client.run(
                      run ->
                          run.app("probe")
                              .function("hold")
                              .input(Map.of("gate", gate.path()))
                              .timeout(Duration.ofSeconds(1))));
      assertEquals(RunState.UNKNOWN, error.runState());
      try (Gate.Arrival held = gate.arrival()) {
        held.departure();
      }
    }
  }

  @Test
  void aRunWithoutAConnectionWasNotStarted() throws IOException {
    try (SessionGatewayClient nowhere =
        SessionGatewayClient.builder().address("127.0.0.1:1").build()) {
      for (int attempt = 0; attempt < 2; attempt++) {
        UnavailableException error =
            assertThrows(UnavailableException.class, () -> nowhere.run(run -> run.app("kv")));
        assertEquals(RunState.NOT_STARTED, error.runState());
        assertTrue(error.description().contains("refused"), error.description());
      }
    }
    // Takes connections and says nothing.
    try (ServerSocket silent = new ServerSocket(0, 5, InetAddress.getLoopbackAddress());
        SessionGatewayClient waiting =
            SessionGatewayClient.builder().address("127.0.0.1:" + silent.getLocalPort()).build()) {
      DeadlineExceededException error =
          assertThrows(
              DeadlineExceededException.class,
              () -> waiting.run(run -> run.app("kv").timeout(Duration.ofMillis(500))));
      assertEquals(RunState.NOT_STARTED, error.runState());
      Duration soon = Duration.ofMillis(100);
      for (Executable request :
          List.<Executable>of(
              () -> waiting.sessions().get("sess_a", soon),
              () -> waiting.sessions().keepalive("sess_a", soon),
              () -> waiting.sessions().end("sess_a", soon),
              () -> waiting.apps().get("kv", soon),
              () -> waiting.apps().list(0, soon).iterator().hasNext())) {
        assertThrows(DeadlineExceededException.class, request);
      }
    }
  }

  @Test
  void aStreamGivesItsPartsAndThenTheResult() {
    try (RunStream stream =
        client.runStream(run -> run.app("probe").function("count").input(Map.of("steps", 3)))) {
      for (int step = 0; step < 3; step++) {
        assertEquals(step, stream.next().tree().path("step").asInt());
      }
      assertThrows(IllegalStateException.class, stream::result);
      assertEquals(3, stream.finish().output().tree().path("total").asInt());
    }
  }

  @Test
  void leavingAStreamEarlyCancelsTheFunction() throws Exception {
    try (Gate gate = new Gate()) {
      RunStream stream =
          client.runStream(
              run -> run.app("probe").function("pause").input(Map.of("gate", gate.path())));
      assertEquals("gate", stream.next().tree().path("at").asText());
      try (Gate.Arrival held = gate.arrival()) {
        stream.close();
        held.departure();
      }
    }
  }

  @Test
  void aSlowReaderMakesTheFunctionWaitAndNobodyElse() throws Exception {
    Path count = Files.createTempFile("flood", "");
    try (RunStream flood =
        client.runStream(
            run ->
                run.app("probe")
                    .function("flood")
                    .input(Map.of("outputs", 2000, "bytes", 65536, "file", count.toString())))) {
      flood.next();
      // Others go on over the same connection, as large as what the flood may have on its way.
      String text = "x".repeat(3_000_000);
      for (int round = 0; round < 3; round++) {
        JsonNode back = client.run(run -> run.app("kv").input(Map.of("t", text))).output().tree();
        assertEquals(text.length(), back.path("state").path("t").asText().length());
      }
      assertTrue(Integer.parseInt(Files.readString(count)) < 1000);
      flood.next();
    } finally {
      Files.delete(count);
    }
  }

  @Test
  void theBareStubIsEnoughToReadTheDetails() throws Exception {
    ManagedChannel channel =
        Grpc.newChannelBuilder(gateway.address(), InsecureChannelCredentials.create()).build();
    try {
      StatusRuntimeException error =
          assertThrows(
              StatusRuntimeException.class,
              () ->
                  SessionServiceGrpc.newBlockingStub(channel)
                      .withDeadlineAfter(30, TimeUnit.SECONDS)
                      .run(RunRequest.newBuilder().setApp("no name").build()));
      com.google.rpc.Status status = StatusProto.fromThrowable(error);
      assertNotNull(status);
      ErrorInfo info = status.getDetails(0).unpack(ErrorInfo.class);
      assertEquals("INVALID_REQUEST", info.getReason());
      assertEquals("sessiongateway", info.getDomain());
      boolean isTyped = false;
      boolean hasFields = false;
      for (com.google.protobuf.Any detail : status.getDetailsList()) {
        if (detail.is(ErrorDetail.class)) {
          isTyped = true;
          assertEquals(
              ErrorCode.ERROR_CODE_INVALID_REQUEST, detail.unpack(ErrorDetail.class).getCode());
        }
        if (detail.is(BadRequest.class)) {
          hasFields = true;
          assertEquals("app", detail.unpack(BadRequest.class).getFieldViolations(0).getField());
        }
      }
      assertTrue(isTyped && hasFields);
    } finally {
      channel.shutdownNow();
    }
  }

  @Test
  void closingTheClientEndsARunThatWaits() throws Exception {
    try (Gate gate = new Gate()) {
      SessionGatewayClient other = gateway.client();
      CompletableFuture<RunResult> run =
          other.runAsync(
              params -> params.app("probe").function("hold").input(Map.of("gate", gate.path())));
      try (Gate.Arrival held = gate.arrival()) {
        other.close();
        held.departure();
      }
      Throwable error = run.handle((result, failure) -> failure).get();
      CancelledException cancelled = assertInstanceOf(CancelledException.class, error);
      assertEquals(RunState.UNKNOWN, cancelled.runState());
    }
  }
}
