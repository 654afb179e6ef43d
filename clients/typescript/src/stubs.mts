export * from './stubs.js';
