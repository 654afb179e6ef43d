package com.sessiongateway.client;

import io.grpc.ChannelCredentials;
import io.grpc.Grpc;
import io.grpc.ManagedChannel;
import io.grpc.ManagedChannelBuilder;
import io.grpc.Metadata;
import io.grpc.netty.shaded.io.grpc.netty.NettyChannelBuilder;
import io.grpc.stub.MetadataUtils;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/** Makes the channel to a gateway. */
final class Channels {
  private static final int MAX_ANSWER = 64 * 1024 * 1024;

  // What a stream takes on before its reader asks for it. Fixed, because gRPC would let it grow
  // with the speed of the connection, and a function run further ahead of a slow reader.
  private static final int WINDOW = 1024 * 1024;

  private static final Metadata.Key<String> AUTHORIZATION =
      Metadata.Key.of("authorization", Metadata.ASCII_STRING_MARSHALLER);

  private static final Pattern HTTP_URL = Pattern.compile("https?://", Pattern.CASE_INSENSITIVE);

  private Channels() {}

  /**
   * Returns a channel that connects with its first request.
   *
   * @throws IllegalArgumentException the address is no HOST:PORT, or the key holds characters that
   *     cannot be sent
   */
  static ManagedChannel open(
      String address, ChannelCredentials credentials, @Nullable String apiKey) {
    if (HTTP_URL.matcher(address).lookingAt()) {
      throw new IllegalArgumentException(
          "the address of a gateway is HOST:PORT, not a URL: \"" + address + '"');
    }
    if (address.indexOf(':') < 0) {
      throw new IllegalArgumentException(
          "the address of the gateway must be HOST:PORT, not \"" + address + '"');
    }
    ManagedChannelBuilder<?> builder = Grpc.newChannelBuilder(address(address), credentials);
    if (builder instanceof NettyChannelBuilder netty) {
      netty.flowControlWindow(WINDOW);
    }
    if (apiKey != null && !apiKey.isEmpty()) {
      builder.intercept(MetadataUtils.newAttachHeadersInterceptor(headers(apiKey)));
    }
    if (address.startsWith("dns:")) {
      // A name that may stand for several gateways: calls go round among all of them. A plain
      // HOST:PORT is one, and one connection, which is cheaper for one with several processes.
      builder.defaultLoadBalancingPolicy("round_robin");
    }
    String version = Channels.class.getPackage().getImplementationVersion();
    return builder
        .userAgent("sessiongateway-java/" + (version == null ? "dev" : version))
        .maxInboundMessageSize(MAX_ANSWER)
        .defaultServiceConfig(serviceConfig())
        .disableServiceConfigLookUp()
        // Finds a host that vanished during a long run. Servers refuse pings that come more often
        // than every 5 minutes.
        .keepAliveTime(330, TimeUnit.SECONDS)
        .keepAliveTimeout(20, TimeUnit.SECONDS)
        .build();
  }

  /** Returns the retries: gRPC may repeat only what is safe to repeat. */
  static Map<String, ?> serviceConfig() {
    // Run and the streams are absent on purpose: gRPC cannot know whether a run was applied when
    // its connection broke, and a broken stream is opened again with its own backoff.
    List<Map<String, String>> names =
        Stream.concat(
                Stream.of("GetSession", "ListSessions", "Keepalive", "EndSession")
                    .map(
                        method ->
                            Map.of(
                                "service", "sessiongateway.v1.SessionService", "method", method)),
                Stream.of(Map.of("service", "sessiongateway.v1.AppService")))
            .toList();
    Map<String, ?> retryPolicy =
        Map.of(
            "maxAttempts",
            4.0,
            "initialBackoff",
            "0.1s",
            "maxBackoff",
            "2s",
            "backoffMultiplier",
            2.0,
            "retryableStatusCodes",
            List.of("UNAVAILABLE"));
    return Map.of(
        "methodConfig",
        List.of(Map.of("name", names, "timeout", "120s", "retryPolicy", retryPolicy)));
  }

  private static String address(String address) {
    // Otherwise the host of "host:port" would be taken for a scheme.
    boolean hasScheme =
        address.startsWith("unix:") || address.contains("://") || address.startsWith("dns:");
    return hasScheme ? address : "dns:///" + address;
  }

  private static Metadata headers(String apiKey) {
    if (!apiKey.chars().allMatch(each -> each >= ' ' && each <= '~')) {
      // gRPC would refuse it too, but with the key in its message.
      throw new IllegalArgumentException(
          "the API key holds characters that cannot be sent; is there a line break at its end?");
    }
    Metadata headers = new Metadata();
    headers.put(AUTHORIZATION, "Bearer " + apiKey);
    return headers;
  }
}
