package com.sessiongateway.client;

import com.sessiongateway.client.errors.AppNotFoundException;
import com.sessiongateway.client.errors.AppStartFailedException;
import com.sessiongateway.client.errors.SessionGatewayException;
import com.sessiongateway.client.errors.VersionNotFoundException;
import com.sessiongateway.v1.AppServiceGrpc;
import com.sessiongateway.v1.GetAppRequest;
import com.sessiongateway.v1.ListAppsRequest;
import com.sessiongateway.v1.ListAppsResponse;
import java.time.Duration;
import java.util.Objects;
import java.util.concurrent.CompletableFuture;
import org.jspecify.annotations.Nullable;

/**
 * Tells what is deployed. Every method throws {@link SessionGatewayException} if its request fails.
 */
public final class Apps {
  private final Transport transport;
  private final Runner runner;

  Apps(Transport transport, Runner runner) {
    this.transport = transport;
    this.runner = runner;
  }

  /**
   * Describes one version of an app, with its functions and their schemas.
   *
   * @param app "name" or "name@version"
   * @throws AppNotFoundException no app of this name is deployed
   * @throws VersionNotFoundException it is not deployed in this version
   * @throws AppStartFailedException its code cannot be imported
   */
  public AppInfo get(String app) {
    return Operation.await(getAsync(app), null);
  }

  /** Does what {@link #get(String)} does, within a time of its own. */
  public AppInfo get(String app, Duration timeout) {
    return Operation.await(getAsync(app, timeout), null);
  }

  /**
   * Does what {@link #get(String)} does without waiting; cancelling the future cancels the request.
   */
  public CompletableFuture<AppInfo> getAsync(String app) {
    return send(app, null);
  }

  /** Does what {@link #getAsync(String)} does, within a time of its own. */
  public CompletableFuture<AppInfo> getAsync(String app, Duration timeout) {
    return send(app, timeout);
  }

  private CompletableFuture<AppInfo> send(String app, @Nullable Duration timeout) {
    Objects.requireNonNull(app, "app is null");
    Operation<AppInfo> info = new Operation<>();
    info.after(
        transport.send(
            AppServiceGrpc.getGetAppMethod(),
            GetAppRequest.newBuilder().setApp(app).build(),
            runner.budget(timeout)),
        (response, error) ->
            info.end(error == null ? new AppInfo(response.getApp()) : null, error));
    return info;
  }

  /** Returns the deployed apps by name, over all pages; without their functions. */
  public Pages<AppInfo> list() {
    return list(0);
  }

  /**
   * Returns the deployed apps by name, over all pages; without their functions.
   *
   * @param pageSize how many to fetch at a time, 1 to 1000; 0: as the gateway likes
   */
  public Pages<AppInfo> list(int pageSize) {
    return pages(pageSize, null);
  }

  /**
   * Does what {@link #list(int)} does, with a time of its own for each page.
   *
   * @param pageSize how many to fetch at a time, 1 to 1000; 0: as the gateway likes
   */
  public Pages<AppInfo> list(int pageSize, Duration timeout) {
    return pages(pageSize, timeout);
  }

  private Pages<AppInfo> pages(int pageSize, @Nullable Duration timeout) {
    return new Pages<>(
        token -> {
          CompletableFuture<ListAppsResponse> answer =
              transport.send(
                  AppServiceGrpc.getListAppsMethod(),
                  ListAppsRequest.newBuilder().setPageSize(pageSize).setPageToken(token).build(),
                  runner.budget(timeout));
          ListAppsResponse page = Operation.await(answer, null);
          return new Pages.Page<>(
              page.getAppsList().stream().map(AppInfo::new).toList(), page.getNextPageToken());
        });
  }
}
