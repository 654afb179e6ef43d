package com.sessiongateway.client.errors;

import java.io.Serializable;

/**
 * What the app's code raised.
 *
 * @param type the exception's type, such as "ValueError"
 * @param message its text
 * @param traceback the end of its traceback
 */
public record AppFailure(String type, String message, String traceback) implements Serializable {}
