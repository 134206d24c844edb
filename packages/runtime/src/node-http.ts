/** Not imported: an import reads every export of node:http, and its WebSocket is undici, 10 MB in each service. */
export const http = process.getBuiltinModule('node:http');
export const https = process.getBuiltinModule('node:https');
