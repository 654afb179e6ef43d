package com.sessiongateway.client.errors;

import java.io.Serializable;

/**
 * One wrong field of a request.
 *
 * @param field its name, such as "session_timeout" or "input.path.to.field"
 * @param description what is wrong with it
 */
public record FieldViolation(String field, String description) implements Serializable {}
