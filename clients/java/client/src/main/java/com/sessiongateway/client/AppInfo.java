package com.sessiongateway.client;

import com.sessiongateway.v1.App;
import java.util.List;

/**
 * An app in one version.
 *
 * @param message the message of the protocol
 */
public record AppInfo(App message) {

  /** Returns the name, with its namespace if it has one. */
  public String name() {
    return message.getName();
  }

  /** Returns the version that this describes. */
  public String version() {
    return message.getVersion();
  }

  /** Returns the version that the name alone means. */
  public String currentVersion() {
    return message.getCurrentVersion();
  }

  /** Returns all versions that are deployed, the newest first. */
  public List<String> versions() {
    return List.copyOf(message.getVersionsList());
  }

  /** Returns the function that a run without one calls; empty if there is none. */
  public String defaultFunction() {
    return message.getDefaultFunction();
  }

  /** Returns what can be called. Filled in by {@link Apps#get} only. */
  public List<FunctionInfo> functions() {
    return message.getFunctionsList().stream().map(FunctionInfo::new).toList();
  }

  /** Returns how many calls of one session run at a time. */
  public int concurrency() {
    return message.getConcurrency();
  }

  /** Returns the workers that a run may name. Filled in by {@link Apps#get} only. */
  public List<String> idleWorkerIds() {
    return List.copyOf(message.getIdleWorkerIdsList());
  }
}
