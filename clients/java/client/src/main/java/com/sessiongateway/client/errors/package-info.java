/**
 * What the client throws when a request fails: one class for each error code of the gateway and for
 * the statuses of the transport, all below {@link
 * com.sessiongateway.client.errors.SessionGatewayException}.
 */
@NullMarked
package com.sessiongateway.client.errors;

import org.jspecify.annotations.NullMarked;
