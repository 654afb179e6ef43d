/** The generated code, for those who want no layer: services and messages for `createClient` of Connect. */

export * from './gen/google/rpc/error_details_pb.js';
export * from './gen/google/rpc/status_pb.js';
export * from './gen/sessiongateway/v1/apps_pb.js';
export * from './gen/sessiongateway/v1/errors_pb.js';
export * from './gen/sessiongateway/v1/sessions_pb.js';
