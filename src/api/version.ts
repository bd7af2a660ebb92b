/** Version of the REST contract, shown in /openapi.json. */
export const API_VERSION = '0.1.0';
