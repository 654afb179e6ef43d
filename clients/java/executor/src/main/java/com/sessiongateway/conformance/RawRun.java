package com.sessiongateway.conformance;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.google.protobuf.Any;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.rpc.BadRequest;
import com.google.rpc.ErrorInfo;
import com.google.rpc.Status;
import com.sessiongateway.v1.ErrorDetail;
import com.sessiongateway.v1.RunRequest;
import com.sessiongateway.v1.RunResponse;
import com.sessiongateway.v1.SessionServiceGrpc;
import io.grpc.Grpc;
import io.grpc.InsecureChannelCredentials;
import io.grpc.ManagedChannel;
import io.grpc.Metadata;
import io.grpc.StatusRuntimeException;
import io.grpc.protobuf.StatusProto;
import io.grpc.stub.MetadataUtils;
import java.util.Base64;
import java.util.concurrent.TimeUnit;

/**
 * A run over the generated stub alone, with its error details read by hand: what a program without
 * the client does.
 */
final class RawRun {
  private RawRun() {}

  static JsonNode run(JsonNode command) throws InvalidProtocolBufferException {
    RunRequest request =
        RunRequest.parseFrom(Base64.getDecoder().decode(command.path("request").asText()));
    ManagedChannel channel =
        Grpc.newChannelBuilder(
                "dns:///" + command.path("address").asText(), InsecureChannelCredentials.create())
            .build();
    try {
      SessionServiceGrpc.SessionServiceBlockingStub stub =
          SessionServiceGrpc.newBlockingStub(channel).withDeadlineAfter(60, TimeUnit.SECONDS);
      if (command.hasNonNull("api_key")) {
        Metadata headers = new Metadata();
        headers.put(
            Metadata.Key.of("authorization", Metadata.ASCII_STRING_MARSHALLER),
            "Bearer " + command.path("api_key").asText());
        stub = stub.withInterceptors(MetadataUtils.newAttachHeadersInterceptor(headers));
      }
      RunResponse response = stub.run(request);
      return Answers.object()
          .put("response", Base64.getEncoder().encodeToString(response.toByteArray()));
    } catch (StatusRuntimeException error) {
      throw new Failure(error);
    } finally {
      channel.shutdownNow();
    }
  }

  /** What the details of a status say. */
  static final class Failure extends RuntimeException {
    private static final long serialVersionUID = 1L;

    private final transient ObjectNode details;

    Failure(StatusRuntimeException error) throws InvalidProtocolBufferException {
      super(error);
      details = Answers.object();
      details.put("code", error.getStatus().getCode().name());
      details.put("message", error.getStatus().getDescription());
      details.put("grpc_status", error.getStatus().getCode().name());
      details.put("class", error.getClass().getSimpleName());
      ArrayNode violations = details.putArray("field_violations");
      Status status = StatusProto.fromThrowable(error);
      for (Any any :
          status == null ? Status.getDefaultInstance().getDetailsList() : status.getDetailsList()) {
        if (any.is(ErrorInfo.class)) {
          ErrorInfo info = any.unpack(ErrorInfo.class);
          details.put("code", info.getReason());
          details.set("metadata", Main.MAPPER.valueToTree(info.getMetadataMap()));
        } else if (any.is(ErrorDetail.class)) {
          read(any.unpack(ErrorDetail.class));
        } else if (any.is(BadRequest.class)) {
          any.unpack(BadRequest.class)
              .getFieldViolationsList()
              .forEach(
                  each -> violations.addArray().add(each.getField()).add(each.getDescription()));
        }
      }
    }

    ObjectNode details() {
      return details;
    }

    private void read(ErrorDetail detail) {
      details.put("http_status", detail.getHttpStatus());
      details.put("run_state", word(detail.getRunState().name(), "RUN_STATE_"));
      details.put("session_id", detail.getSessionId().isEmpty() ? null : detail.getSessionId());
      details.put("call_id", detail.getCallId().isEmpty() ? null : detail.getCallId());
    }

    private static String word(String name, String prefix) {
      return name.substring(prefix.length()).toLowerCase(java.util.Locale.ROOT);
    }
  }
}
