// A small identity provider shaped like Authentik: issuer with a final slash, everything below /application/o/. It has no pages:
// whoever `next` names is signed in at once. Also a plain OAuth 2 side without discovery, below /plain/.

import { createHash, randomBytes } from 'node:crypto'
import http from 'node:http'
import { SignJWT, exportJWK, generateKeyPair } from 'jose'

const CLIENT = { id: 'app', secret: 'app-secret-app-secret-app-secret' }

export async function startIdp() {
  const { privateKey, publicKey } = await generateKeyPair('RS256', { extractable: true })
  const jwk = { ...(await exportJWK(publicKey)), kid: 'idp-1', use: 'sig', alg: 'RS256' }
  const codes = new Map()
  const tokens = new Map()
  const idp = {
    /**
     * Who signs in next, with what goes wrong: `{ sub, email, email_verified, name, error, noIdToken, badNonce, badCode,
     * expiresIn, … }`.
     */
    next: {},
    seen: [],
  }
  const server = http.createServer((request, response) => {
    answer(request, response).catch((error) => {
      response.statusCode = 500
      response.end(error.message)
    })
  })

  const claimsOf = ({ sub, email, email_verified, name, picture }) =>
    Object.fromEntries(Object.entries({ sub, email, email_verified, name, picture, preferred_username: sub }).filter(([, value]) => value !== undefined))

  async function answer(request, response) {
    const url = new URL(request.url, idp.url)
    let text = ''
    for await (const chunk of request) text += chunk
    const json = (status, body) => {
      response.writeHead(status, { 'content-type': 'application/json' })
      response.end(JSON.stringify(body))
    }
    const path = url.pathname.replace('/plain/', '/application/o/')
    const plain = url.pathname.startsWith('/plain/')
    idp.seen.push({ method: request.method, path: url.pathname, query: Object.fromEntries(url.searchParams), body: text })
    if (path === '/application/o/app/.well-known/openid-configuration') {
      return json(200, {
        issuer: idp.issuer,
        authorization_endpoint: `${idp.url}/application/o/authorize/`,
        token_endpoint: `${idp.url}/application/o/token/`,
        userinfo_endpoint: `${idp.url}/application/o/userinfo/`,
        end_session_endpoint: `${idp.url}/application/o/app/end-session/`,
        jwks_uri: `${idp.url}/application/o/app/jwks/`,
        response_types_supported: ['code'],
        subject_types_supported: ['public'],
        id_token_signing_alg_values_supported: ['RS256'],
        code_challenge_methods_supported: ['plain', 'S256'],
        token_endpoint_auth_methods_supported: ['client_secret_post', 'client_secret_basic'],
        scopes_supported: ['openid', 'profile', 'email', 'offline_access'],
      })
    }
    if (path === '/application/o/app/jwks/') return json(200, { keys: [jwk] })
    if (/^\/application\/o\/authorize\/?$/.test(path)) {
      const back = new URL(url.searchParams.get('redirect_uri'))
      const { error, error_description, dropCode, dropState, iss } = idp.next
      if (!dropState) back.searchParams.set('state', url.searchParams.get('state') ?? '')
      if (iss) back.searchParams.set('iss', iss)
      if (error) {
        back.searchParams.set('error', error)
        if (error_description) back.searchParams.set('error_description', error_description)
      } else if (!dropCode) {
        const code = randomBytes(16).toString('hex')
        codes.set(code, { person: { ...idp.next }, plain, query: Object.fromEntries(url.searchParams) })
        back.searchParams.set('code', code)
      }
      response.writeHead(302, { location: back.href })
      return response.end()
    }
    if (/^\/application\/o\/token\/?$/.test(path)) {
      const form = new URLSearchParams(text)
      const [user, password] = Buffer.from((request.headers.authorization ?? '').replace(/^Basic /, ''), 'base64').toString().split(':')
      const id = form.get('client_id') ?? user
      const secret = form.get('client_secret') ?? decodeURIComponent(password ?? '')
      if (id !== CLIENT.id || secret !== CLIENT.secret) return json(401, { error: 'invalid_client' })
      if (form.get('grant_type') === 'refresh_token') {
        const held = tokens.get(form.get('refresh_token'))
        if (!held) return json(400, { error: 'invalid_grant' })
        return json(200, await issue({ ...held, person: { ...held.person, expiresIn: undefined } }))
      }
      const given = codes.get(form.get('code'))
      codes.delete(form.get('code'))
      if (!given || given.person.badCode) return json(400, { error: 'invalid_grant' })
      const { code_challenge: challenge, redirect_uri: redirect } = given.query
      if (redirect !== form.get('redirect_uri')) return json(400, { error: 'invalid_grant', error_description: 'redirect_uri' })
      const verifier = form.get('code_verifier') ?? ''
      if (challenge && createHash('sha256').update(verifier).digest('base64url') !== challenge) return json(400, { error: 'invalid_grant', error_description: 'pkce' })
      return json(200, await issue(given))
    }
    if (/^\/application\/o\/userinfo\/?$/.test(path)) {
      const held = tokens.get((request.headers.authorization ?? '').replace(/^Bearer /i, ''))
      if (!held || held.person.noUserInfo) return json(401, { error: 'invalid_token' })
      const claims = claimsOf(held.person)
      return json(200, held.plain ? { id: claims.sub, ...claims } : claims)
    }
    response.statusCode = 404
    response.end()
  }

  async function issue(given) {
    const { person, query, plain } = given
    const access = randomBytes(24).toString('hex')
    const refresh = randomBytes(24).toString('hex')
    tokens.set(access, given)
    tokens.set(refresh, given)
    const set = { access_token: access, token_type: 'Bearer', expires_in: person.expiresIn ?? 600, scope: query.scope }
    if (!person.noRefresh) set.refresh_token = refresh
    if (!plain && !person.noIdToken) {
      const claims = { ...claimsOf(person), ...(query.nonce ? { nonce: person.badNonce ? 'another' : query.nonce } : {}) }
      set.id_token = await new SignJWT(claims)
        .setProtectedHeader({ alg: 'RS256', kid: jwk.kid })
        .setIssuer(person.badIssuer ? 'http://other.example.test/' : idp.issuer)
        .setAudience(person.badAudience ? 'another' : CLIENT.id)
        .setIssuedAt()
        .setExpirationTime(person.stale ? '-1h' : '10m')
        .sign(privateKey)
    }
    return set
  }

  /** An id_token for the form in which an app hands one over. */
  idp.idToken = async (person, nonce) => (await issue({ person, plain: false, query: nonce ? { nonce } : {} })).id_token

  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  idp.url = `http://localhost:${server.address().port}`
  idp.issuer = `${idp.url}/application/o/app/`
  idp.close = () => new Promise((resolve) => {
    server.closeAllConnections()
    server.close(resolve)
  })
  return idp
}
