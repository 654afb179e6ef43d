package com.sessiongateway.client.errors;

/** Why a session is no longer active. */
public enum EndReason {
  /** Its caller ended it. */
  CALLER,
  /** It was idle for longer than its timeout. */
  IDLE_TIMEOUT,
  /** Its worker process died. */
  WORKER_LOST,
  /** The call that was to open it failed or was cancelled. */
  FIRST_CALL_FAILED,
  /** The gateway that held its worker was stopped, and was told to end its sessions then. */
  GATEWAY_RESTARTED,
  /** It lived for as long as a session of its app may live. */
  MAX_LIFETIME,
  /** A call took longer than the app allows, and did not give way. */
  CALL_TIMED_OUT,
  /** Its worker and what that had started held more memory than the app allows. */
  MEMORY_LIMIT,
  /** Its worker had started more processes than the app allows. */
  PROCESS_LIMIT,
  /** Its directories held more than the app allows. */
  DISK_LIMIT,
  /** A reason that only a newer gateway knows. */
  UNRECOGNIZED;

  /** Returns the constant of a word such as "worker_lost". */
  public static EndReason ofWord(String word) {
    return Words.constant(values(), word);
  }
}
