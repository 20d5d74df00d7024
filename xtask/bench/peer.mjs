// The peer of `cargo xtask bench`: npm oidc-provider with its own in-memory storage, one client, RS256, and no login pages.
// Usage: node peer.mjs PORT. GET /bench/tokens?count=N mints N refresh tokens and one access token as a sign-in would.

import { generateKeyPairSync } from 'node:crypto'
import http from 'node:http'
import Provider from 'oidc-provider'

const port = Number(process.argv[2])
const issuer = `http://localhost:${port}`
const api = 'urn:bench:api'
const scope = 'openid profile email offline_access'

const key = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ format: 'jwk' })
const person = { sub: 'alice', name: 'Alice', preferred_username: 'alice', email: 'alice@example.org', email_verified: true }

const provider = new Provider(issuer, {
  clients: [
    {
      client_id: 'bench',
      client_secret: 'bench-secret',
      grant_types: ['authorization_code', 'refresh_token', 'client_credentials'],
      redirect_uris: ['http://localhost:1/callback'],
      token_endpoint_auth_method: 'client_secret_post',
      id_token_signed_response_alg: 'RS256',
    },
  ],
  jwks: { keys: [{ ...key, use: 'sig', alg: 'RS256', kid: 'bench' }] },
  claims: { profile: ['name', 'preferred_username'], email: ['email', 'email_verified'] },
  findAccount: (_, id) => ({ accountId: id, claims: () => person }),
  rotateRefreshToken: true,
  cookies: { keys: ['bench'] },
  features: {
    devInteractions: { enabled: false },
    clientCredentials: { enabled: true },
    introspection: { enabled: true },
    resourceIndicators: {
      enabled: true,
      // Access tokens of the client-credentials grant are signed, as Doorward's are; all others are opaque.
      defaultResource: (ctx) => (ctx.oidc.params?.grant_type === 'client_credentials' ? api : undefined),
      useGrantedResource: () => false,
      getResourceServerInfo: () => ({ scope: 'read', audience: api, accessTokenFormat: 'jwt', jwt: { sign: { alg: 'RS256' } } }),
    },
  },
})
provider.on('server_error', (_, error) => process.stderr.write(`${error.stack}\n`))

async function mint(count) {
  const client = await provider.Client.find('bench')
  const grant = new provider.Grant({ accountId: person.sub, clientId: 'bench' })
  grant.addOIDCScope(scope)
  const common = { accountId: person.sub, client, grantId: await grant.save(), gty: 'authorization_code', scope }
  const authTime = Math.floor(Date.now() / 1000)
  const refresh = []
  for (let at = 0; at < count; at += 1) refresh.push(await new provider.RefreshToken({ ...common, authTime }).save())
  return { refresh_tokens: refresh, access_token: await new provider.AccessToken({ ...common, authTime }).save() }
}

const answer = provider.callback()
http
  .createServer(async (request, response) => {
    if (!request.url.startsWith('/bench/tokens')) return answer(request, response)
    const tokens = await mint(Number(new URL(request.url, issuer).searchParams.get('count')))
    response.setHeader('content-type', 'application/json')
    return response.end(JSON.stringify(tokens))
  })
  .listen(port, '127.0.0.1')
