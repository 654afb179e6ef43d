/**
 * Calls functions of apps through a Session Gateway, and holds sessions: begin with {@link
 * com.sessiongateway.client.SessionGatewayClient}.
 */
@NullMarked
package com.sessiongateway.client;

import org.jspecify.annotations.NullMarked;
