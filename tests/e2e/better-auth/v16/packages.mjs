// What the reference server and the client are made of, resolved beside this file: the packages of this version.

export { apiKey } from '@better-auth/api-key'
export { apiKeyClient } from '@better-auth/api-key/client'
export { passkey } from '@better-auth/passkey'
export { passkeyClient } from '@better-auth/passkey/client'
export { betterAuth } from 'better-auth'
export { memoryAdapter } from 'better-auth/adapters/memory'
export { createAuthClient } from 'better-auth/client'
export * as clients from 'better-auth/client/plugins'
export { toNodeHandler } from 'better-auth/node'
export * as plugins from 'better-auth/plugins'
