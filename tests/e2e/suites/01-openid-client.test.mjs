// openid-client 6 through Chromium: everything a certified client does with a provider.

import { after, before, test } from 'node:test'
import * as jose from 'jose'
import * as client from 'openid-client'
import { arrive, consentHere, openContext, pressNamed, signInHere, startChromium, textOf } from '../lib/chromium.mjs'
import { ALICE, BOB, startDoorward } from '../lib/doorward.mjs'
import { assert, expectSubset } from '../lib/expect.mjs'
import { send } from '../lib/http.mjs'
import { startRelyingParty } from '../lib/rp.mjs'
import fs from 'node:fs'
import path from 'node:path'

const SCOPE = 'openid email profile offline_access'
const insecure = { execute: [client.allowInsecureRequests, client.enableNonRepudiationChecks] }
let door, rp, browser

before(async () => {
  door = await startDoorward()
  rp = await startRelyingParty()
  browser = await startChromium()
  await door.addPeople()
})
after(async () => {
  await browser?.close()
  await rp?.close()
  await door?.stop()
})

/** Registers an application for `staff` and discovers it. `auth(app)` builds the client authentication. */
async function register(slug, options = [], { auth, metadata = {} } = {}) {
  const type = options.includes('--public') ? [] : ['--confidential']
  const app = await door.addApplication(slug, '--redirect-uri', rp.url('/callback'), '--allow-group', 'staff', ...type, ...options)
  const method = auth?.(app) ?? (app.client_secret ? client.ClientSecretBasic(app.client_secret) : client.None())
  const config = await client.discovery(new URL(app.issuer), app.client_id, metadata, method, insecure)
  return { app, config }
}

/** Opens the authorize URL in `page`; returns what `authorizationCodeGrant` needs. */
async function begin(config, page, params = {}, { build = client.buildAuthorizationUrl } = {}) {
  const pkceCodeVerifier = client.randomPKCECodeVerifier()
  const expectedState = client.randomState()
  const expectedNonce = client.randomNonce()
  const url = await build(config, {
    redirect_uri: rp.url('/callback'),
    scope: SCOPE,
    code_challenge: await client.calculatePKCECodeChallenge(pkceCodeVerifier),
    code_challenge_method: 'S256',
    state: expectedState,
    nonce: expectedNonce,
    ...params,
  })
  await page.goto(url.href, { waitUntil: 'domcontentloaded' })
  return { pkceCodeVerifier, expectedState, expectedNonce, idTokenExpected: true }
}

/** The whole of signing in: authorize, sign-in form, callback, token. */
async function signIn(config, page, params, person = ALICE) {
  const checks = await begin(config, page, params)
  await signInHere(page, person)
  const back = await arrive(page, rp.url('/callback'))
  return client.authorizationCodeGrant(config, back, checks)
}

async function inBrowser(t, use) {
  const { context, problems } = await openContext(browser, door)
  t.after(() => context.close())
  await use(await context.newPage(), context)
  assert.deepEqual(problems, [], 'problems on our pages')
}

const jwks = (app) => jose.createRemoteJWKSet(new URL('jwks/', app.issuer))

test('discovery names every endpoint of the application', async () => {
  const { app, config } = await register('discovered')
  const server = config.serverMetadata()
  const at = (name) => `${door.url}/application/o/${name}/`
  assert.equal(app.issuer, `${door.url}/application/o/discovered/`)
  expectSubset(
    server,
    {
      issuer: app.issuer,
      authorization_endpoint: at('authorize'),
      token_endpoint: at('token'),
      userinfo_endpoint: at('userinfo'),
      introspection_endpoint: at('introspect'),
      revocation_endpoint: at('revoke'),
      device_authorization_endpoint: at('device'),
      end_session_endpoint: at('discovered/end-session'),
      jwks_uri: at('discovered/jwks'),
      authorization_response_iss_parameter_supported: true,
      backchannel_logout_supported: true,
      frontchannel_logout_supported: true,
      response_types_supported: ['code'],
      code_challenge_methods_supported: ['S256'],
    },
    'discovery',
  )
  assert.ok(server.pushed_authorization_request_endpoint, 'discovery has pushed_authorization_request_endpoint')
  for (const method of ['client_secret_basic', 'client_secret_post', 'private_key_jwt', 'none']) {
    assert.ok(server.token_endpoint_auth_methods_supported.includes(method), `${method} in ${server.token_endpoint_auth_methods_supported}`)
  }
  for (const mode of ['query', 'fragment', 'form_post']) {
    assert.ok(server.response_modes_supported.includes(mode), `${mode} in ${server.response_modes_supported}`)
  }
  for (const scope of ['openid', 'email', 'profile', 'offline_access']) {
    assert.ok(server.scopes_supported.includes(scope), `${scope} in ${server.scopes_supported}`)
  }
})

test('RFC 8414: the same document under .well-known/oauth-authorization-server with the issuer as path', async () => {
  const { app } = await register('rfc8414')
  const config = await client.discovery(new URL(app.issuer), app.client_id, {}, client.ClientSecretBasic(app.client_secret), {
    ...insecure,
    algorithm: 'oauth2',
  })
  assert.equal(config.serverMetadata().issuer, app.issuer)
})

test('a confidential client: sign-in, claims, userinfo, refresh, introspection, revocation', async (t) => {
  const { app, config } = await register('wiki')
  await inBrowser(t, async (page) => {
    const tokens = await signIn(config, page)
    const claims = tokens.claims()
    expectSubset(claims, {
      iss: app.issuer,
      aud: app.client_id,
      email: ALICE.email,
      name: ALICE.name,
      preferred_username: ALICE.username,
      groups: ['staff'],
    })
    assert.equal(typeof claims.email_verified, 'boolean', JSON.stringify(claims))
    assert.equal(typeof claims.auth_time, 'number', JSON.stringify(claims))
    assert.ok(claims.sid, `sid for logout: ${JSON.stringify(claims)}`)
    assert.ok(tokens.expires_in > 1700 && tokens.expires_in <= 1800, `access tokens live 30 minutes, got: ${tokens.expires_in}`)

    const person = await client.fetchUserInfo(config, tokens.access_token, claims.sub)
    expectSubset(person, { sub: claims.sub, email: ALICE.email, preferred_username: ALICE.username, groups: ['staff'] })

    const { payload, protectedHeader } = await jose.jwtVerify(tokens.access_token, jwks(app), { issuer: app.issuer, typ: 'at+jwt' })
    expectSubset(payload, { client_id: app.client_id, sub: claims.sub }, 'RFC 9068 access token')
    assert.ok(payload.jti && payload.iat && payload.exp && payload.aud, JSON.stringify(payload))
    assert.equal(protectedHeader.alg, 'RS256')

    const renewed = await client.refreshTokenGrant(config, tokens.refresh_token)
    assert.notEqual(renewed.refresh_token, tokens.refresh_token, 'the refresh token rotates')
    assert.notEqual(renewed.access_token, tokens.access_token)
    assert.equal(renewed.claims()?.sub ?? claims.sub, claims.sub)
    if (renewed.claims()) assert.equal(renewed.claims().auth_time, claims.auth_time, 'OIDC Core 12.2: auth_time is the original one')

    const active = await client.tokenIntrospection(config, renewed.access_token)
    expectSubset(active, { active: true, client_id: app.client_id, sub: claims.sub }, 'introspection')
    assert.ok(active.scope.split(' ').includes('openid'), JSON.stringify(active))
    const activeRefresh = await client.tokenIntrospection(config, renewed.refresh_token)
    assert.equal(activeRefresh.active, true, JSON.stringify(activeRefresh))

    await client.tokenRevocation(config, renewed.refresh_token)
    for (const token of [renewed.refresh_token, renewed.access_token]) {
      const dead = await client.tokenIntrospection(config, token)
      assert.deepEqual({ ...dead }, { active: false }, 'RFC 7662 2.2: nothing but active for a dead token')
    }
    await assert.rejects(client.refreshTokenGrant(config, renewed.refresh_token), (error) => error.error === 'invalid_grant')
    await assert.rejects(client.fetchUserInfo(config, renewed.access_token, claims.sub), (error) => error.status === 401)
  })
})

test('a second application signs in from the same session without a form', async (t) => {
  const first = await register('sso-one')
  const second = await register('sso-two')
  await inBrowser(t, async (page) => {
    const one = await signIn(first.config, page)
    const checks = await begin(second.config, page)
    const two = await client.authorizationCodeGrant(second.config, await arrive(page, rp.url('/callback')), checks)
    assert.equal(two.claims().auth_time, one.claims().auth_time)
    assert.equal(two.claims().email, ALICE.email)
  })
})

test('a public client with PKCE and no secret', async (t) => {
  const { app, config } = await register('spa', ['--public'])
  assert.equal(app.client_secret ?? null, null, 'a public client has no secret')
  await inBrowser(t, async (page) => {
    // Any program on the device could use this client id and the loopback address: people are asked once (RFC 8252 8.6).
    let checks = await begin(config, page)
    await signInHere(page, ALICE)
    await consentHere(page)
    const tokens = await client.authorizationCodeGrant(config, await arrive(page, rp.url('/callback')), checks)
    assert.equal(tokens.claims().aud, app.client_id)
    checks = await begin(config, page)
    await client.authorizationCodeGrant(config, await arrive(page, rp.url('/callback')), checks)
    const renewed = await client.refreshTokenGrant(config, tokens.refresh_token)
    assert.ok(renewed.access_token)
    await client.tokenRevocation(config, renewed.refresh_token)
  })
})

test('without offline_access there is no refresh token', async (t) => {
  const { config } = await register('online')
  await inBrowser(t, async (page) => {
    const tokens = await signIn(config, page, { scope: 'openid email' })
    assert.equal(tokens.refresh_token, undefined)
    assert.equal(tokens.claims().name, undefined, 'no profile scope, no name')
  })
})

test('client_secret_post', async (t) => {
  const { config } = await register('posting', ['--auth-method', 'client_secret_post'], { auth: (app) => client.ClientSecretPost(app.client_secret) })
  await inBrowser(t, async (page) => {
    const tokens = await signIn(config, page)
    assert.ok((await client.tokenIntrospection(config, tokens.access_token)).active)
  })
})

test('private_key_jwt with keys given in a file', async (t) => {
  const pair = await jose.generateKeyPair('ES256', { extractable: true })
  const jwk = { ...(await jose.exportJWK(pair.publicKey)), kid: 'inline-1', alg: 'ES256', use: 'sig' }
  const file = path.join(door.dataFolder, 'inline-jwks.json')
  fs.writeFileSync(file, JSON.stringify({ keys: [jwk] }))
  const { config } = await register('assertion-inline', ['--auth-method', 'private_key_jwt', '--jwks-file', file], {
    auth: () => client.PrivateKeyJwt({ key: pair.privateKey, kid: 'inline-1' }),
  })
  await inBrowser(t, async (page) => {
    const tokens = await signIn(config, page)
    assert.ok((await client.tokenIntrospection(config, tokens.access_token)).active)
  })
})

test('private_key_jwt with keys fetched from jwks_uri, and with a key that appears there later', async (t) => {
  const old = await jose.generateKeyPair('RS256', { extractable: true })
  const publicJwk = async (pair, kid) => ({ ...(await jose.exportJWK(pair.publicKey)), kid, alg: 'RS256', use: 'sig' })
  rp.serve('/jwks', { keys: [await publicJwk(old, 'remote-1')] })
  const { app, config } = await register('assertion-remote', ['--auth-method', 'private_key_jwt', '--jwks-uri', rp.url('/jwks')], {
    auth: () => client.PrivateKeyJwt({ key: old.privateKey, kid: 'remote-1' }),
  })
  await inBrowser(t, async (page) => {
    assert.ok((await signIn(config, page)).access_token)
  })
  // Nobody can make the server fetch more often than every 30 s.
  await new Promise((resolve) => setTimeout(resolve, 31_000))
  const fresh = await jose.generateKeyPair('RS256', { extractable: true })
  rp.serve('/jwks', { keys: [await publicJwk(fresh, 'remote-2')] })
  const rotated = await client.discovery(
    new URL(app.issuer),
    app.client_id,
    {},
    client.PrivateKeyJwt({ key: fresh.privateKey, kid: 'remote-2' }),
    insecure,
  )
  await inBrowser(t, async (page) => {
    assert.ok((await signIn(rotated, page)).access_token)
  })
})

for (const algorithm of ['RS256', 'ES256', 'PS256', 'EdDSA']) {
  test(`tokens signed with ${algorithm}`, async (t) => {
    const { app, config } = await register(`signs-${algorithm.toLowerCase()}`, ['--signing-algorithm', algorithm], {
      metadata: { id_token_signed_response_alg: algorithm },
    })
    assert.ok(config.serverMetadata().id_token_signing_alg_values_supported.includes(algorithm))
    await inBrowser(t, async (page) => {
      const tokens = await signIn(config, page)
      assert.equal(jose.decodeProtectedHeader(tokens.id_token).alg, algorithm)
      const { protectedHeader } = await jose.jwtVerify(tokens.access_token, jwks(app), { typ: 'at+jwt' })
      assert.equal(protectedHeader.alg, algorithm)
      assert.ok(protectedHeader.kid)
    })
  })
}

test('opaque access tokens work at userinfo and introspection', async (t) => {
  const { config } = await register('opaque', ['--access-token-format', 'opaque'])
  await inBrowser(t, async (page) => {
    const tokens = await signIn(config, page)
    assert.notEqual(tokens.access_token.split('.').length, 3, 'not a JWT')
    const claims = tokens.claims()
    assert.equal((await client.fetchUserInfo(config, tokens.access_token, claims.sub)).email, ALICE.email)
    expectSubset(await client.tokenIntrospection(config, tokens.access_token), { active: true, sub: claims.sub })
  })
})

test('form_post reaches the client across sites with the code in the body', async (t) => {
  const { config } = await register('form-post')
  await inBrowser(t, async (page) => {
    const called = rp.next('/callback')
    const checks = await begin(config, page, { response_mode: 'form_post' })
    await signInHere(page, ALICE)
    const { method, form, url, body } = await called
    assert.equal(method, 'POST')
    assert.equal(url.search, '')
    assert.ok(form.get('code'), `got: ${body}`)
    const request = new Request(rp.url('/callback'), { method: 'POST', body: new URLSearchParams(body) })
    const tokens = await client.authorizationCodeGrant(config, request, checks)
    assert.equal(tokens.claims().email, ALICE.email)
  })
})

test('response_mode=fragment', async (t) => {
  const { config } = await register('fragment')
  await inBrowser(t, async (page) => {
    const checks = await begin(config, page, { response_mode: 'fragment' })
    await signInHere(page, ALICE)
    const back = await arrive(page, rp.url('/callback'))
    assert.equal(back.search, '', `nothing in the query: ${back}`)
    const asQuery = new URL(back)
    asQuery.search = back.hash.slice(1)
    asQuery.hash = ''
    const tokens = await client.authorizationCodeGrant(config, asQuery, checks)
    assert.equal(tokens.claims().email, ALICE.email)
  })
})

test('pushed authorization requests (RFC 9126)', async (t) => {
  const { config } = await register('pushed')
  await inBrowser(t, async (page) => {
    const checks = await begin(config, page, {}, { build: client.buildAuthorizationUrlWithPAR })
    await signInHere(page, ALICE)
    const tokens = await client.authorizationCodeGrant(config, await arrive(page, rp.url('/callback')), checks)
    assert.equal(tokens.claims().email, ALICE.email)
  })
})

test('client_credentials', async () => {
  const { app, config } = await register('machine', ['--grant', 'client_credentials'])
  const tokens = await client.clientCredentialsGrant(config)
  assert.equal(tokens.refresh_token, undefined, 'RFC 6749 4.4.3: no refresh token')
  assert.equal(tokens.id_token, undefined)
  const { payload } = await jose.jwtVerify(tokens.access_token, jwks(app), { issuer: app.issuer, typ: 'at+jwt' })
  expectSubset(payload, { client_id: app.client_id }, 'RFC 9068 access token')
  expectSubset(await client.tokenIntrospection(config, tokens.access_token), { active: true, client_id: app.client_id })
})

test('resource (RFC 8707) becomes the audience', async (t) => {
  const resource = 'https://api.example.org/v1'
  const { app, config } = await register('with-resource', ['--resource', resource])
  await inBrowser(t, async (page) => {
    const checks = await begin(config, page, { resource })
    await signInHere(page, ALICE)
    const tokens = await client.authorizationCodeGrant(config, await arrive(page, rp.url('/callback')), checks, { resource })
    const { payload } = await jose.jwtVerify(tokens.access_token, jwks(app), { issuer: app.issuer })
    // With `openid` the token opens userinfo as well, and says so.
    const audience = [payload.aud].flat()
    assert.ok(audience.includes(resource), JSON.stringify(payload))
    assert.deepEqual(audience.filter((one) => one !== resource && !one.startsWith(door.url)), [], JSON.stringify(payload))
  })
})

test('the device grant: code typed on the page, then allowed', async (t) => {
  const { config } = await register('tv', ['--public', '--grant', 'device_code', '--grant', 'refresh_token'])
  const started = await client.initiateDeviceAuthorization(config, { scope: SCOPE })
  assert.ok(started.user_code && started.verification_uri && started.expires_in, JSON.stringify(started))
  const polling = client.pollDeviceAuthorizationGrant(config, started, undefined, { signal: AbortSignal.timeout(60_000) })
  polling.catch(() => {})
  await inBrowser(t, async (page) => {
    await page.goto(started.verification_uri)
    if (await page.locator('input[name=password]').count()) await signInHere(page, ALICE)
    await page.fill('input[name=user_code]', started.user_code.toLowerCase().replace(/-/g, ' '))
    await page.locator('form', { has: page.locator('input[name=user_code]') }).locator('button').first().click()
    if (await page.locator('input[name=password]').count()) await signInHere(page, ALICE)
    await consentHere(page)
    const tokens = await polling
    assert.ok(tokens.access_token)
    assert.equal(tokens.claims().email, ALICE.email)
    assert.ok((await client.refreshTokenGrant(config, tokens.refresh_token)).access_token)
  })
})

test('the device grant: denied on the page, from the complete address', async (t) => {
  const { config } = await register('tv-denied', ['--public', '--grant', 'device_code'])
  const started = await client.initiateDeviceAuthorization(config, { scope: 'openid' })
  const polling = client.pollDeviceAuthorizationGrant(config, started, undefined, { signal: AbortSignal.timeout(60_000) })
  polling.catch(() => {})
  await inBrowser(t, async (page) => {
    await page.goto(started.verification_uri_complete)
    if (await page.locator('input[name=password]').count()) await signInHere(page, ALICE)
    if (await page.locator('input[name=user_code]:visible').count()) {
      await page.locator('form', { has: page.locator('input[name=user_code]') }).locator('button').first().click()
    }
    await consentHere(page, 'deny')
    await assert.rejects(polling, (error) => {
      assert.equal(error.error, 'access_denied', `got: ${error} ${JSON.stringify(error.cause ?? '')}`)
      return true
    })
  })
})

test('RP-initiated logout ends the session and returns with the state', async (t) => {
  const { app, config } = await register('leaving', ['--post-logout-redirect-uri', rp.url('/left')])
  await inBrowser(t, async (page) => {
    const tokens = await signIn(config, page)
    const url = client.buildEndSessionUrl(config, {
      id_token_hint: tokens.id_token,
      post_logout_redirect_uri: rp.url('/left'),
      state: 'back-to-start',
    })
    await page.goto(url.href)
    if (!page.url().startsWith(rp.base)) await pressNamed(page, /sign out/i)
    const back = await arrive(page, rp.url('/left'))
    assert.equal(back.searchParams.get('state'), 'back-to-start')
    await begin(config, page, { prompt: 'none' })
    const refused = await arrive(page, rp.url('/callback'))
    assert.equal(refused.searchParams.get('error'), 'login_required', refused.href)
    assert.equal(refused.searchParams.get('iss'), app.issuer)
  })
})

test('RP-initiated logout never redirects to an unregistered place', async (t) => {
  const { config } = await register('leaving-wrong', ['--post-logout-redirect-uri', rp.url('/left')])
  await inBrowser(t, async (page) => {
    const tokens = await signIn(config, page)
    const url = client.buildEndSessionUrl(config, { id_token_hint: tokens.id_token, post_logout_redirect_uri: rp.url('/elsewhere') })
    await page.goto(url.href)
    if (await page.getByRole('button', { name: /sign out/i }).count()) await pressNamed(page, /sign out/i)
    await page.waitForLoadState()
    assert.ok(page.url().startsWith(door.url), `got: ${page.url()}`)
  })
})

test('back-channel logout: the logout token arrives and verifies', async (t) => {
  const { app, config } = await register('told-behind', [
    '--backchannel-logout-uri',
    rp.url('/backchannel'),
    '--post-logout-redirect-uri',
    rp.url('/left'),
  ])
  await inBrowser(t, async (page) => {
    const tokens = await signIn(config, page)
    const called = rp.next('/backchannel')
    const url = client.buildEndSessionUrl(config, { id_token_hint: tokens.id_token, post_logout_redirect_uri: rp.url('/left') })
    await page.goto(url.href)
    if (!page.url().startsWith(rp.base)) await pressNamed(page, /sign out/i)
    const notice = await called
    assert.equal(notice.method, 'POST')
    assert.match(notice.headers['content-type'], /^application\/x-www-form-urlencoded/)
    const { payload, protectedHeader } = await jose.jwtVerify(notice.form.get('logout_token'), jwks(app), {
      issuer: app.issuer,
      audience: app.client_id,
    })
    assert.equal(protectedHeader.typ, 'logout+jwt')
    assert.deepEqual(payload.events, { 'http://schemas.openid.net/event/backchannel-logout': {} })
    assert.ok(payload.jti && payload.iat && payload.exp, JSON.stringify(payload))
    assert.equal(payload.nonce, undefined, 'Back-Channel Logout 2.4: a nonce is prohibited')
    expectSubset(payload, { sub: tokens.claims().sub, sid: tokens.claims().sid }, 'logout token')
    const after = await client.tokenIntrospection(config, tokens.access_token)
    assert.equal(typeof after.active, 'boolean')
  })
})

test('back-channel logout: a client that answers 503 is told again', async (t) => {
  const { config } = await register('told-again', ['--backchannel-logout-uri', rp.url('/flaky'), '--post-logout-redirect-uri', rp.url('/left')])
  let calls = 0
  rp.answerWith(({ path: at }) => (at === '/flaky' && (calls += 1) === 1 ? 503 : 200))
  t.after(() => rp.answerWith(() => 200))
  await inBrowser(t, async (page) => {
    const tokens = await signIn(config, page)
    const url = client.buildEndSessionUrl(config, { id_token_hint: tokens.id_token, post_logout_redirect_uri: rp.url('/left') })
    const first = rp.next('/flaky')
    await page.goto(url.href)
    if (!page.url().startsWith(rp.base)) await pressNamed(page, /sign out/i)
    await first
    const second = await rp.next('/flaky', 90_000)
    assert.ok(second.form.get('logout_token'))
  })
})

test('front-channel logout: the client is loaded in a frame with iss and sid', async (t) => {
  const { app, config } = await register('told-in-front', [
    '--frontchannel-logout-uri',
    rp.url('/frontchannel'),
    '--post-logout-redirect-uri',
    rp.url('/left'),
  ])
  await inBrowser(t, async (page) => {
    const tokens = await signIn(config, page)
    const called = rp.next('/frontchannel')
    const url = client.buildEndSessionUrl(config, {
      id_token_hint: tokens.id_token,
      post_logout_redirect_uri: rp.url('/left'),
      state: 'framed',
    })
    await page.goto(url.href)
    if (await page.getByRole('button', { name: /sign out/i }).count()) await pressNamed(page, /sign out/i)
    const notice = await called
    assert.equal(notice.url.searchParams.get('iss'), app.issuer)
    assert.equal(notice.url.searchParams.get('sid'), tokens.claims().sid)
    const back = await arrive(page, rp.url('/left'))
    assert.equal(back.searchParams.get('state'), 'framed')
  })
})

test('a public client in the browser: discovery, token, userinfo and JWKS by fetch from its own origin (CORS)', async (t) => {
  const { app, config } = await register('single-page', ['--public'])
  await inBrowser(t, async (page) => {
    const checks = await begin(config, page)
    await signInHere(page, ALICE)
    await consentHere(page)
    const back = await arrive(page, rp.url('/callback'))
    const input = {
      discovery: `${app.issuer}.well-known/openid-configuration`,
      form: {
        grant_type: 'authorization_code',
        code: back.searchParams.get('code'),
        redirect_uri: rp.url('/callback'),
        client_id: app.client_id,
        code_verifier: checks.pkceCodeVerifier,
      },
    }
    const outcome = await page.evaluate(async ({ discovery, form }) => {
      const server = await (await fetch(discovery)).json()
      const answer = await fetch(server.token_endpoint, { method: 'POST', body: new URLSearchParams(form) })
      const tokens = await answer.json()
      const person = await fetch(server.userinfo_endpoint, { headers: { authorization: `Bearer ${tokens.access_token}` } })
      const keys = await (await fetch(server.jwks_uri)).json()
      const refused = await fetch(server.token_endpoint, { method: 'POST', body: new URLSearchParams(form) })
      return { status: answer.status, person: await person.json(), keys: keys.keys.length, refused: (await refused.json()).error }
    }, input)
    assert.equal(outcome.person.email, ALICE.email, JSON.stringify(outcome))
    assert.ok(outcome.keys > 0)
    assert.equal(outcome.refused, 'invalid_grant', 'a script can read the error, too')
  })
})

test('a request object signed by the client (RFC 9101)', async (t) => {
  const pair = await jose.generateKeyPair('ES256', { extractable: true })
  const jwk = { ...(await jose.exportJWK(pair.publicKey)), kid: 'jar', alg: 'ES256', use: 'sig' }
  const file = path.join(door.dataFolder, 'jar-jwks.json')
  fs.writeFileSync(file, JSON.stringify({ keys: [jwk] }))
  const { config } = await register('signed-requests', ['--auth-method', 'private_key_jwt', '--jwks-file', file], {
    auth: () => client.PrivateKeyJwt({ key: pair.privateKey, kid: 'jar' }),
  })
  const build = (configuration, params) => client.buildAuthorizationUrlWithJAR(configuration, params, { key: pair.privateKey, kid: 'jar' })
  await inBrowser(t, async (page) => {
    const checks = await begin(config, page, {}, { build })
    await signInHere(page, ALICE)
    const tokens = await client.authorizationCodeGrant(config, await arrive(page, rp.url('/callback')), checks)
    assert.equal(tokens.claims().email, ALICE.email)
  })
})

test('a custom scope with claims from attributes of the user and of groups', async (t) => {
  await door.cli('group', 'create', 'editors', '--attribute', 'role=editor')
  const fay = { username: 'fay', email: 'fay@example.org', name: 'Fay', password: 'lucky-Harvest-29-stone' }
  await door.addUser(fay, '--email-verified', '--group', 'staff', '--group', 'editors', '--attribute', 'department={"name":"Press"}')
  await door.cli('scope', 'create', 'work', '--description', 'Your work', '--claim', 'department=user.attributes.department.name', '--claim', 'roles=group.attributes.role')
  const { config } = await register('with-scope', ['--scope', 'openid', '--scope', 'email', '--scope', 'work'])
  await inBrowser(t, async (page) => {
    const tokens = await signIn(config, page, { scope: 'openid email work' }, fay)
    const person = await client.fetchUserInfo(config, tokens.access_token, tokens.claims().sub)
    expectSubset(person, { department: 'Press', roles: ['editor'], email: fay.email, email_verified: true }, 'userinfo')
    expectSubset(tokens.claims(), { department: 'Press', roles: ['editor'] }, 'ID token')
  })
  await inBrowser(t, async (page) => {
    const tokens = await signIn(config, page, { scope: 'openid email work' })
    assert.equal(tokens.claims().department, undefined, 'no attribute, no claim')
    assert.equal(tokens.claims().email_verified, false, 'an address that nobody proved is not verified')
  })
})

test('consent that expires is asked again, consent that is skipped never', async (t) => {
  const expiring = await register('asks-again', ['--consent', 'expiring:2s'])
  const skipped = await register('never-asks', ['--consent', 'skip'])
  await inBrowser(t, async (page) => {
    let checks = await begin(expiring.config, page)
    await signInHere(page, ALICE)
    await consentHere(page)
    await client.authorizationCodeGrant(expiring.config, await arrive(page, rp.url('/callback')), checks)
    await new Promise((resolve) => setTimeout(resolve, 3100))
    checks = await begin(expiring.config, page)
    await consentHere(page)
    await client.authorizationCodeGrant(expiring.config, await arrive(page, rp.url('/callback')), checks)
    checks = await begin(skipped.config, page)
    await client.authorizationCodeGrant(skipped.config, await arrive(page, rp.url('/callback')), checks)
  })
})

test('ui_locales chooses the language of the page; acr_values that are known come back as acr', async (t) => {
  const { config } = await register('in-german')
  const [acr] = config.serverMetadata().acr_values_supported
  await inBrowser(t, async (page) => {
    const checks = await begin(config, page, { ui_locales: 'fr de', acr_values: acr })
    assert.equal(await page.getAttribute('html', 'lang'), 'de')
    await signInHere(page, ALICE)
    const tokens = await client.authorizationCodeGrant(config, await arrive(page, rp.url('/callback')), checks)
    assert.equal(tokens.claims().acr, acr)
    assert.deepEqual(tokens.claims().amr, ['pwd'])
  })
})

test('explicit consent: asked, remembered, asked again with prompt=consent, revocable in the portal', async (t) => {
  const { config } = await register('asks', ['--consent', 'explicit', '--name', 'The Asking App'])
  await inBrowser(t, async (page) => {
    let checks = await begin(config, page)
    await signInHere(page, ALICE)
    await page.waitForSelector('button[name=decision]')
    assert.match(await textOf(page), /The Asking App/)
    await consentHere(page)
    const tokens = await client.authorizationCodeGrant(config, await arrive(page, rp.url('/callback')), checks)

    checks = await begin(config, page)
    await client.authorizationCodeGrant(config, await arrive(page, rp.url('/callback')), checks)

    await begin(config, page, { prompt: 'consent' })
    await consentHere(page, 'deny')
    const denied = await arrive(page, rp.url('/callback'))
    assert.equal(denied.searchParams.get('error'), 'access_denied', denied.href)

    await page.goto(`${door.url}/if/user/grants/`)
    await page.locator('li', { hasText: 'The Asking App' }).getByRole('button').click()
    await page.waitForLoadState()
    assert.equal(await page.locator('li', { hasText: 'The Asking App' }).getByRole('button').count(), 0, await textOf(page))
    const gone = await client.tokenIntrospection(config, tokens.refresh_token)
    assert.equal(gone.active, false, 'revoking the grant ends its tokens')
    await begin(config, page)
    await page.waitForSelector('button[name=decision]')
  })
})

test('prompt=login asks again and auth_time moves; max_age is honoured', async (t) => {
  const { config } = await register('again')
  await inBrowser(t, async (page) => {
    const first = await signIn(config, page)
    await new Promise((resolve) => setTimeout(resolve, 2100))
    const second = await signIn(config, page, { prompt: 'login' })
    assert.ok(second.claims().auth_time > first.claims().auth_time, `${second.claims().auth_time} after ${first.claims().auth_time}`)
    await new Promise((resolve) => setTimeout(resolve, 2100))
    const checks = await begin(config, page, { max_age: '1' })
    await signInHere(page, ALICE)
    const third = await client.authorizationCodeGrant(config, await arrive(page, rp.url('/callback')), { ...checks, maxAge: 1 })
    assert.ok(third.claims().auth_time > second.claims().auth_time)
    const unasked = await begin(config, page, { max_age: '3600' })
    await client.authorizationCodeGrant(config, await arrive(page, rp.url('/callback')), { ...unasked, maxAge: 3600 })
  })
})

test('login_hint fills the user name; display, ui_locales, acr_values do not disturb', async (t) => {
  const { config } = await register('hinted')
  await inBrowser(t, async (page) => {
    const checks = await begin(config, page, {
      login_hint: ALICE.username,
      display: 'page',
      ui_locales: 'de-AT en',
      acr_values: 'urn:example:unknown',
      claims_locales: 'de',
    })
    assert.equal(await page.inputValue('input[name=username]'), ALICE.username)
    await signInHere(page, ALICE)
    const tokens = await client.authorizationCodeGrant(config, await arrive(page, rp.url('/callback')), checks)
    assert.equal(tokens.claims().email, ALICE.email)
  })
})

test('id_token_hint of somebody else with prompt=none is login_required', async (t) => {
  const { config } = await register('two-people', ['--allow-user', BOB.username])
  let bobsToken
  await inBrowser(t, async (page) => {
    bobsToken = (await signIn(config, page, {}, BOB)).id_token
  })
  await inBrowser(t, async (page) => {
    const tokens = await signIn(config, page)
    await begin(config, page, { prompt: 'none', id_token_hint: bobsToken })
    const refused = await arrive(page, rp.url('/callback'))
    assert.equal(refused.searchParams.get('error'), 'login_required', refused.href)
    const checks = await begin(config, page, { prompt: 'none', id_token_hint: tokens.id_token })
    const again = await client.authorizationCodeGrant(config, await arrive(page, rp.url('/callback')), checks)
    assert.equal(again.claims().sub, tokens.claims().sub)
  })
})

test('the claims parameter asks for a claim that the scope does not bring', async (t) => {
  const { config } = await register('claims-asked')
  await inBrowser(t, async (page) => {
    const claims = JSON.stringify({ id_token: { email: { essential: true } }, userinfo: { preferred_username: null } })
    const tokens = await signIn(config, page, { scope: 'openid', claims })
    assert.equal(tokens.claims().email, ALICE.email, JSON.stringify(tokens.claims()))
    const person = await client.fetchUserInfo(config, tokens.access_token, tokens.claims().sub)
    assert.equal(person.preferred_username, ALICE.username, JSON.stringify(person))
  })
})

test('claims stay out of the ID token when switched off, and are at userinfo', async (t) => {
  const { config } = await register('slim', ['--id-token-claims', 'off'])
  await inBrowser(t, async (page) => {
    const tokens = await signIn(config, page)
    assert.equal(tokens.claims().email, undefined, JSON.stringify(tokens.claims()))
    const person = await client.fetchUserInfo(config, tokens.access_token, tokens.claims().sub)
    assert.equal(person.email, ALICE.email)
  })
})

test('subjects: hashed id, id, uuid, username and email', async (t) => {
  const subjects = {}
  for (const mode of ['hashed_id', 'id', 'uuid', 'username', 'email']) {
    const { config } = await register(`subject-${mode.replace('_', '-')}`, ['--subject', mode])
    await inBrowser(t, async (page) => {
      subjects[mode] = (await signIn(config, page)).claims().sub
    })
  }
  assert.match(subjects.hashed_id, /^[0-9a-f]{64}$/, JSON.stringify(subjects))
  assert.match(subjects.uuid, /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/, JSON.stringify(subjects))
  assert.equal(subjects.username, ALICE.username)
  assert.equal(subjects.email, ALICE.email)
  assert.ok(subjects.id && subjects.id !== subjects.hashed_id, JSON.stringify(subjects))
})

test('the global issuer serves its discovery at the root and signs tokens under it', async (t) => {
  const app = await door.addApplication(
    'global-one',
    '--redirect-uri',
    rp.url('/callback'),
    '--allow-group',
    'staff',
    '--confidential',
    '--issuer-mode',
    'global',
  )
  assert.equal(new URL(app.issuer).pathname, '/', app.issuer)
  const config = await client.discovery(new URL(app.issuer), app.client_id, {}, client.ClientSecretBasic(app.client_secret), insecure)
  await inBrowser(t, async (page) => {
    const tokens = await signIn(config, page)
    assert.equal(tokens.claims().iss, config.serverMetadata().issuer)
    assert.equal((await client.fetchUserInfo(config, tokens.access_token, tokens.claims().sub)).email, ALICE.email)
  })
})

test('two client secrets work side by side after a rotation with overlap', async () => {
  const { app } = await register('rotating', ['--grant', 'client_credentials'])
  const made = await door.cli('application', 'secret', 'rotate', 'rotating', '--overlap', '7d')
  assert.ok(made.client_secret && made.client_secret !== app.client_secret, 'a new secret is printed')
  for (const secret of [made.client_secret, app.client_secret]) {
    const config = await client.discovery(new URL(app.issuer), app.client_id, {}, client.ClientSecretBasic(secret), insecure)
    let tokens, refused
    for (const until = Date.now() + 2000; !tokens && Date.now() < until; ) {
      tokens = await client.clientCredentialsGrant(config).catch((error) => void (refused = error))
    }
    assert.ok(tokens?.access_token, `refused for 2 s: ${refused} ${JSON.stringify(refused?.cause ?? null)}`)
  }
})

test('keys rotate with overlap: old tokens verify on, new ones carry the new key', async (t) => {
  const { app, config } = await register('rolling')
  await inBrowser(t, async (page) => {
    const old = await signIn(config, page)
    const oldKid = jose.decodeProtectedHeader(old.id_token).kid
    await door.cli('key', 'rotate', '--algorithm', 'RS256', '--now')
    let kid = oldKid
    for (let turn = 0; turn < 30 && kid === oldKid; turn += 1) {
      await new Promise((resolve) => setTimeout(resolve, 200))
      // A client that starts now: one that kept the old JWKS would ask again only after a while.
      const fresh = await client.discovery(new URL(app.issuer), app.client_id, {}, client.ClientSecretBasic(app.client_secret), insecure)
      kid = jose.decodeProtectedHeader((await signInSilently(fresh, page)).id_token).kid
    }
    assert.notEqual(kid, oldKid, 'the new key signs')
    const { keys } = (await send(new URL('jwks/', app.issuer).href)).json()
    const kids = keys.map((key) => key.kid)
    assert.ok(kids.includes(oldKid) && kids.length > 1, `the old key ${oldKid} and its successor in ${kids}`)
    await jose.jwtVerify(old.access_token, jwks(app), { issuer: app.issuer })
    for (const key of keys) for (const part of ['d', 'p', 'q', 'k']) assert.equal(key[part], undefined, 'no private part in the JWKS')
  })
})

async function signInSilently(config, page) {
  const checks = await begin(config, page)
  return client.authorizationCodeGrant(config, await arrive(page, rp.url('/callback')), checks)
}
