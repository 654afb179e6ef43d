package com.sessiongateway.client;

import com.sessiongateway.client.errors.SessionGatewayException;
import org.jspecify.annotations.Nullable;

/**
 * News of one session: it was renewed, or it is lost. Exactly one of the last two is set.
 *
 * @param sessionId the session that this is about
 * @param session the session after the renewal
 * @param error why it is lost
 */
public record KeepaliveEvent(
    String sessionId, @Nullable SessionInfo session, @Nullable SessionGatewayException error) {}
