// oauth4webapi over plain HTTP with a cookie jar: the pages work without a browser's help, and a strict low-level client
// accepts every answer.

import { after, before, test } from 'node:test'
import * as oauth from 'oauth4webapi'
import { ALICE, startDoorward } from '../lib/doorward.mjs'
import { assert, expectSubset } from '../lib/expect.mjs'
import { Visitor, formsOf } from '../lib/http.mjs'

const REDIRECT = 'http://127.0.0.1:9/callback'
const SCOPE = 'openid email profile offline_access'
const insecure = { [oauth.allowInsecureRequests]: true }
let door

before(async () => {
  door = await startDoorward()
  await door.addPeople()
})
after(() => door?.stop())

async function register(slug, ...options) {
  const type = options.some((option) => ['--public', '--confidential'].includes(option)) ? [] : ['--confidential']
  const app = await door.addApplication(slug, '--redirect-uri', REDIRECT, '--allow-group', 'staff', ...type, ...options)
  const issuer = new URL(app.issuer)
  const as = await oauth.processDiscoveryResponse(issuer, await oauth.discoveryRequest(issuer, insecure))
  const auth = app.client_secret ? oauth.ClientSecretBasic(app.client_secret) : oauth.None()
  return { app, as, client: { client_id: app.client_id }, auth }
}

/** Walks the pages; returns the validated callback parameters and what the token request needs. */
async function authorize({ as, client }, visitor, params = {}, person = ALICE) {
  const verifier = oauth.generateRandomCodeVerifier()
  const state = oauth.generateRandomState()
  const nonce = oauth.generateRandomNonce()
  const url = new URL(as.authorization_endpoint)
  const all = {
    client_id: client.client_id,
    redirect_uri: REDIRECT,
    response_type: 'code',
    scope: SCOPE,
    code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
    state,
    nonce,
    ...params,
  }
  for (const [name, value] of Object.entries(all)) url.searchParams.set(name, value)
  const step = await visitor.walk(url.href, person)
  assert.ok(step.left, `expected to come back to the client, got: ${step.page}`)
  return { callback: oauth.validateAuthResponse(as, client, step.left, state), verifier, nonce }
}

async function redeem({ as, client, auth }, { callback, verifier, nonce }) {
  const response = await oauth.authorizationCodeGrantRequest(as, client, auth, callback, REDIRECT, verifier, insecure)
  const tokens = await oauth.processAuthorizationCodeResponse(as, client, response, { expectedNonce: nonce, requireIdToken: true })
  await oauth.validateApplicationLevelSignature(as, response, insecure)
  return tokens
}

for (const kind of ['confidential', 'public']) {
  test(`the core with a ${kind} client`, async () => {
    const party = await register(`core-${kind}`, `--${kind}`)
    const { as, client, auth } = party
    const tokens = await redeem(party, await authorize(party, new Visitor(door.url)))
    const claims = oauth.getValidatedIdTokenClaims(tokens)
    expectSubset(claims, { email: ALICE.email, preferred_username: ALICE.username })

    const person = await oauth.processUserInfoResponse(
      as,
      client,
      claims.sub,
      await oauth.userInfoRequest(as, client, tokens.access_token, insecure),
    )
    assert.equal(person.email, ALICE.email)

    const renewed = await oauth.processRefreshTokenResponse(
      as,
      client,
      await oauth.refreshTokenGrantRequest(as, client, auth, tokens.refresh_token, insecure),
    )
    assert.notEqual(renewed.refresh_token, tokens.refresh_token)

    if (kind === 'confidential') {
      const state = await oauth.processIntrospectionResponse(
        as,
        client,
        await oauth.introspectionRequest(as, client, auth, renewed.access_token, insecure),
      )
      expectSubset(state, { active: true, sub: claims.sub, client_id: client.client_id })
    }

    await oauth.processRevocationResponse(await oauth.revocationRequest(as, client, auth, renewed.refresh_token, insecure))
    const dead = await oauth.refreshTokenGrantRequest(as, client, auth, renewed.refresh_token, insecure)
    await assert.rejects(oauth.processRefreshTokenResponse(as, client, dead), (error) => error.error === 'invalid_grant')
  })
}

test('the access token validates as RFC 9068 at a resource server', async () => {
  const resource = 'https://api.example.org/'
  const party = await register('resource-server', '--resource', resource)
  const { as, client, auth } = party
  const { callback, verifier, nonce } = await authorize(party, new Visitor(door.url), { resource })
  const response = await oauth.authorizationCodeGrantRequest(as, client, auth, callback, REDIRECT, verifier, {
    ...insecure,
    additionalParameters: { resource },
  })
  const tokens = await oauth.processAuthorizationCodeResponse(as, client, response, { expectedNonce: nonce })
  const request = new Request(resource, { headers: { authorization: `Bearer ${tokens.access_token}` } })
  const claims = await oauth.validateJwtAccessToken(as, request, resource, insecure)
  assert.equal(claims.client_id, client.client_id)
  assert.equal(claims.sub, oauth.getValidatedIdTokenClaims(tokens).sub)
})

test('pushed authorization request, then sign-in', async () => {
  const party = await register('pushed')
  const { as, client, auth } = party
  const verifier = oauth.generateRandomCodeVerifier()
  const nonce = oauth.generateRandomNonce()
  const state = oauth.generateRandomState()
  const pushed = await oauth.processPushedAuthorizationResponse(
    as,
    client,
    await oauth.pushedAuthorizationRequest(
      as,
      client,
      auth,
      {
        response_type: 'code',
        redirect_uri: REDIRECT,
        scope: SCOPE,
        nonce,
        state,
        code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
        code_challenge_method: 'S256',
      },
      insecure,
    ),
  )
  const url = new URL(as.authorization_endpoint)
  url.searchParams.set('client_id', client.client_id)
  url.searchParams.set('request_uri', pushed.request_uri)
  const step = await new Visitor(door.url).walk(url.href, ALICE)
  assert.ok(step.left, `expected to come back, got: ${step.page}`)
  const callback = oauth.validateAuthResponse(as, client, step.left, state)
  const tokens = await redeem(party, { callback, verifier, nonce })
  assert.equal(oauth.getValidatedIdTokenClaims(tokens).email, ALICE.email)
})

test('client_credentials', async () => {
  const party = await register('machine', '--grant', 'client_credentials')
  const { as, client, auth } = party
  const tokens = await oauth.processClientCredentialsResponse(
    as,
    client,
    await oauth.clientCredentialsGrantRequest(as, client, auth, {}, insecure),
  )
  assert.ok(tokens.access_token)
  assert.equal(tokens.refresh_token, undefined)
})

test('the device grant: pending, slow_down when asked too often, then tokens', async () => {
  const party = await register('television', '--public', '--grant', 'device_code')
  const { as, client, auth } = party
  const started = await oauth.processDeviceAuthorizationResponse(
    as,
    client,
    await oauth.deviceAuthorizationRequest(as, client, auth, { scope: 'openid email' }, insecure),
  )
  const poll = async () =>
    oauth.processDeviceCodeResponse(as, client, await oauth.deviceCodeGrantRequest(as, client, auth, started.device_code, insecure))
  await assert.rejects(poll(), (error) => error.error === 'authorization_pending')
  await assert.rejects(poll(), (error) => error.error === 'slow_down')

  const visitor = new Visitor(door.url)
  let step = await visitor.walk(started.verification_uri, ALICE)
  const ask = formsOf(step.page.text).find((form) => 'user_code' in form.fields)
  assert.ok(ask, `expected a form with user_code, got: ${step.page}`)
  step = await visitor.submit(step.page, ask, { user_code: started.user_code })
  const consent = formsOf(step.page.text).find((form) => form.buttons.some((button) => button.name === 'decision'))
  assert.ok(consent, `expected allow and deny, got: ${step.page}`)
  step = await visitor.submit(step.page, consent, { decision: 'allow' }, consent.buttons.find((button) => button.value === 'allow'))

  // RFC 8628 section 3.5: slow_down adds five seconds to the interval.
  await new Promise((resolve) => setTimeout(resolve, ((started.interval ?? 5) + 5) * 1000 + 200))
  const tokens = await poll()
  assert.ok(tokens.access_token)
  await new Promise((resolve) => setTimeout(resolve, ((started.interval ?? 5) + 5) * 1000 + 200))
  await assert.rejects(poll(), (error) => ['invalid_grant', 'expired_token'].includes(error.error))
})

test('form_post carries code, state and iss in a form that posts itself or by button', async () => {
  const party = await register('posting')
  const url = new URL(party.as.authorization_endpoint)
  const verifier = oauth.generateRandomCodeVerifier()
  const params = {
    client_id: party.client.client_id,
    redirect_uri: REDIRECT,
    response_type: 'code',
    response_mode: 'form_post',
    scope: SCOPE,
    state: `"><script>alert(1)</script>`,
    code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
  }
  for (const [name, value] of Object.entries(params)) url.searchParams.set(name, value)
  const step = await new Visitor(door.url).walk(url.href, ALICE)
  assert.equal(step.left?.href, REDIRECT, `got: ${step.page}`)
  assert.equal(step.form.state, params.state, 'state comes back byte by byte')
  assert.equal(step.form.iss, party.as.issuer)
  assert.ok(!step.page.text.includes('<script>alert'), 'state is escaped')
  const tokens = await redeem(party, {
    callback: oauth.validateAuthResponse(party.as, party.client, new URLSearchParams(step.form), params.state),
    verifier,
    nonce: oauth.expectNoNonce,
  })
  assert.ok(tokens.id_token)
})

test('authorize by POST (OIDC Core 3.1.2.1) works as by GET', async () => {
  const party = await register('authorize-post')
  const verifier = oauth.generateRandomCodeVerifier()
  const visitor = new Visitor(door.url)
  await visitor.signIn(ALICE)
  const step = await visitor.open(party.as.authorization_endpoint, {
    form: {
      client_id: party.client.client_id,
      redirect_uri: REDIRECT,
      response_type: 'code',
      scope: SCOPE,
      state: 'by-post',
      code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
      code_challenge_method: 'S256',
    },
  })
  const { left, page } = step.left ? step : await visitor.walk(step.page.url, ALICE)
  assert.ok(left, `expected to come back, got: ${page}`)
  const callback = oauth.validateAuthResponse(party.as, party.client, left, 'by-post')
  const tokens = await redeem(party, { callback, verifier, nonce: oauth.expectNoNonce })
  assert.ok(tokens.access_token)
})
