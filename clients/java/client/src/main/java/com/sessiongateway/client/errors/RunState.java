package com.sessiongateway.client.errors;

/** Whether the function of a run was applied. */
public enum RunState {
  /** Nothing was applied: the same call may safely be sent again. */
  NOT_STARTED,
  /** The function had started and its end was not seen: it may have had effects. */
  UNKNOWN,
  /** The function ran to its end, or raised; what is missing is only a usable answer. */
  COMPLETED,
  /** A state that only a newer gateway knows; to be treated as {@link #UNKNOWN}. */
  UNRECOGNIZED;

  /** Returns the constant of a word such as "not_started". */
  static RunState ofWord(String word) {
    return Words.constant(values(), word);
  }
}
