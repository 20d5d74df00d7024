// The client's packages ask `process.env`, which a bundler would put in. A plain script runs before all modules.
globalThis.process = { env: { NODE_ENV: "production" } };
