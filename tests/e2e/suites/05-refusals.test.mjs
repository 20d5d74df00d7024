// Every way in which a client or a person does it wrong gets the answer of the RFC, and nothing else happens.

import { createHash, randomBytes } from 'node:crypto'
import http from 'node:http'
import { after, before, test } from 'node:test'
import * as oauth from 'oauth4webapi'
import * as openid from 'openid-client'
import { ADMIN, ALICE, BOB, startDoorward } from '../lib/doorward.mjs'
import { assert, expectOAuthError, expectRefusalPage, expectReturned, expectStatus, expectTokens } from '../lib/expect.mjs'
import { Visitor, formsOf, send } from '../lib/http.mjs'
import { HandClient, basic, pkce } from '../lib/oauth.mjs'

const REDIRECT = 'http://127.0.0.1:9/callback'
const sleep = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds))
let door, confidential, open

before(async () => {
  door = await startDoorward()
  await door.addPeople()
  confidential = await register('grafana')
  open = await register('app', '--public')
})
after(() => door?.stop())

async function register(slug, ...options) {
  const type = options.includes('--public') ? [] : ['--confidential']
  const app = await door.addApplication(slug, '--redirect-uri', REDIRECT, '--allow-group', 'staff', ...type, ...options)
  return new HandClient(door, app, REDIRECT)
}

const visitor = (options) => new Visitor(door.url, options)

/** A visitor with alice's session. */
async function alice() {
  const one = visitor()
  await one.signIn(ALICE)
  return one
}

// ---------------------------------------------------------------------------------------------- authorize: the page

const WRONG_REDIRECTS = {
  'another host': 'https://evil.example/callback',
  'another path': 'http://127.0.0.1:9/callback/more',
  'a path that starts the same': 'http://127.0.0.1:9/callbackx',
  'a query added': 'http://127.0.0.1:9/callback?next=https://evil.example',
  'a fragment': 'http://127.0.0.1:9/callback#x',
  'user information': 'http://127.0.0.1:9@evil.example/callback',
  'a script': 'javascript:alert(1)',
  'a data address': 'data:text/html,<script>alert(1)</script>',
  'dot segments': 'http://127.0.0.1:9/x/../callback',
  'a trailing slash': 'http://127.0.0.1:9/callback/',
  'an upper-case path': 'http://127.0.0.1:9/Callback',
  'nothing at all': '',
}

for (const [name, uri] of Object.entries(WRONG_REDIRECTS)) {
  test(`RFC 9700 4.1: a redirect_uri with ${name} gets a page and no redirect`, async () => {
    for (const who of [visitor(), await alice()]) {
      const step = await who.open(confidential.authorizeUrl({ redirect_uri: uri }, { challenge: pkce().challenge }))
      expectRefusalPage(step, 400)
      assert.match(step.page.headers['content-type'], /text\/html/)
      assert.ok(!step.page.text.includes('<script>alert'), 'the address is escaped')
    }
  })
}

test('a missing redirect_uri with one registered: the registered one or a page, never elsewhere', async () => {
  const step = await (await alice()).open(confidential.authorizeUrl({ redirect_uri: undefined }, { challenge: pkce().challenge }))
  if (step.left) assert.equal(step.left.origin + step.left.pathname, REDIRECT)
  else expectRefusalPage(step, 400)
})

test('RFC 8252 7.3: a loopback redirect may use any port', async () => {
  const step = await visitor().walk(
    confidential.authorizeUrl({ redirect_uri: 'http://127.0.0.1:51004/callback' }, { challenge: pkce().challenge }),
    ALICE,
  )
  assert.ok(step.left?.searchParams.get('code'), `expected a code at the other port, got: ${step.left ?? step.page}`)
  assert.equal(step.left.port, '51004')
})

test('a wildcard redirect covers one label of the host and nothing else', async () => {
  const app = await door.addApplication('previews', '--public', '--redirect-uri', 'https://*.preview.example.org/callback', '--allow-group', 'staff')
  const previews = new HandClient(door, app, 'https://branch-7.preview.example.org/callback')
  const step = await visitor().walk(previews.authorizeUrl({}, { challenge: pkce().challenge }), ALICE)
  assert.ok(step.left?.searchParams.get('code'), `expected a code, got: ${step.left ?? step.page}`)
  for (const wrong of [
    'https://a.b.preview.example.org/callback',
    'https://preview.example.org/callback',
    'https://.preview.example.org/callback',
    'https://evil.example/x.preview.example.org/callback',
    'https://evil.example#.preview.example.org/callback',
    'https://evil.example\\.preview.example.org/callback',
    'https://evil.example%2f.preview.example.org/callback',
    'https://user@x.preview.example.org/callback',
    'https://*.preview.example.org/callback',
    'http://x.preview.example.org/callback',
    'https://x.preview.example.org:8443/callback',
    'https://x.preview.example.org/callback/',
  ]) {
    expectRefusalPage(await visitor().open(previews.authorizeUrl({ redirect_uri: wrong }, { challenge: pkce().challenge })), 400)
  }
  const bad = await door.run(['application', 'create', 'too-wide', '--public', '--redirect-uri', 'https://*.com/callback', '--json'])
  assert.notEqual(bad.status, 0, 'a wildcard over a whole top-level domain')
})

test('a foreign Host or X-Forwarded-Host changes neither issuer nor addresses', async () => {
  for (const headers of [{ host: 'evil.example' }, { 'x-forwarded-host': 'evil.example', 'x-forwarded-proto': 'https' }]) {
    const answer = await send(`${confidential.app.issuer}.well-known/openid-configuration`, { headers })
    assert.ok(!answer.text.includes('evil.example'), answer.toString())
    const page = await send(`${door.url}/if/user/`, { headers: { ...headers, accept: 'text/html' } })
    assert.ok(!`${page.headers.location}${page.text}`.includes('evil.example'), page.toString())
  }
})

test('the page after the sign-in is one of ours, whatever `next` says', async () => {
  for (const next of ['https://evil.example/', '//evil.example/', '/\\evil.example/', 'javascript:alert(1)', '/%09/evil.example/', '/\t/evil.example']) {
    const step = await visitor().walk(`/if/flow/sign-in/?${new URLSearchParams({ next })}`, ALICE)
    assert.ok(!step.left, `${next} led to ${step.left}`)
    assert.ok(step.page.status < 500, step.page.toString())
  }
})

test('an unknown client_id gets a page and no redirect', async () => {
  expectRefusalPage(await visitor().open(confidential.authorizeUrl({ client_id: 'nobody' })), 400)
  expectRefusalPage(await visitor().open(confidential.authorizeUrl({ client_id: undefined })), 400)
})

test('the wrong-redirect page shows the address and the nearest registered one to an administrator only', async () => {
  const url = confidential.authorizeUrl({ redirect_uri: 'http://127.0.0.1:9/calback' }, { challenge: pkce().challenge })
  const administrator = visitor()
  await administrator.signIn(ADMIN)
  const shown = await administrator.open(url)
  expectRefusalPage(shown, 400)
  assert.ok(shown.page.readable.includes('http://127.0.0.1:9/calback'), `the given address: ${shown.page}`)
  assert.ok(shown.page.readable.includes(REDIRECT), `the nearest registered one: ${shown.page}`)
  const stranger = await visitor().open(url)
  expectRefusalPage(stranger, 400)
  assert.ok(!stranger.page.readable.includes(REDIRECT), `registered addresses are not for strangers: ${stranger.page}`)
})

// ------------------------------------------------------------------------------------- authorize: back to the client

const RETURNED = {
  'an unsupported response_type': [{ response_type: 'token' }, ['unsupported_response_type', 'unauthorized_client']],
  'the hybrid response_type': [{ response_type: 'code id_token', nonce: 'n' }, ['unsupported_response_type', 'unauthorized_client']],
  'no response_type': [{ response_type: undefined }, ['invalid_request']],
  'plain PKCE': [{ code_challenge: 'a'.repeat(43), code_challenge_method: 'plain' }, ['invalid_request']],
  'a PKCE method left out, which means plain': [{ code_challenge: 'a'.repeat(43), code_challenge_method: undefined }, ['invalid_request']],
  'a challenge of the wrong length': [{ code_challenge: 'short', code_challenge_method: 'S256' }, ['invalid_request']],
  'a scope with characters that none may have': [{ scope: 'openid "quoted"' }, ['invalid_scope']],
  'prompt=none without a session': [{ prompt: 'none' }, ['login_required']],
  'prompt=none together with login': [{ prompt: 'none login' }, ['invalid_request']],
  'a negative max_age': [{ max_age: '-1' }, ['invalid_request']],
  'an unknown response_mode': [{ response_mode: 'web_message' }, ['invalid_request']],
  'claims that are not JSON': [{ claims: '{not json' }, ['invalid_request']],
  'a request object without signature': [
    {
      request: `${Buffer.from('{"alg":"none"}').toString('base64url')}.${Buffer.from('{"scope":"openid"}').toString('base64url')}.`,
    },
    ['request_not_supported', 'invalid_request_object'],
  ],
  'a request_uri of the web': [{ request_uri: 'https://client.example/request.jwt' }, ['request_uri_not_supported', 'invalid_request_uri']],
  'a request_uri that was never pushed': [
    { request_uri: 'urn:ietf:params:oauth:request_uri:never' },
    ['invalid_request_uri', 'request_uri_not_supported'],
  ],
  'registration': [{ registration: '{}' }, ['registration_not_supported']],
}

for (const [name, [params, codes]] of Object.entries(RETURNED)) {
  test(`authorize with ${name}: ${codes.join(' or ')}`, async () => {
    const url = confidential.authorizeUrl({ state: 'kept & whole', ...params }, params.code_challenge ? {} : { challenge: pkce().challenge })
    const step = await visitor().open(url)
    // Without a redirect_uri of its own a pushed request has nowhere to return to: the page is right as well.
    if (!step.left && params.request_uri?.startsWith('urn:')) return void expectRefusalPage(step, 400)
    const answer = expectReturned(step, REDIRECT, ...codes)
    assert.equal(answer.get('state'), 'kept & whole', 'state comes back')
    assert.equal(answer.get('iss'), confidential.app.issuer, 'RFC 9207: iss on errors too')
    assert.equal(answer.get('code'), null)
  })
}

test('an unknown scope is left out, and the token answer says so (RFC 6749 3.3, OIDC Core 3.1.2.1)', async () => {
  const tokens = await confidential.tokens(visitor(), ALICE, { scope: 'openid email no-such-scope' })
  assert.deepEqual(tokens.scope?.split(' ').sort(), ['email', 'openid'], JSON.stringify({ ...tokens, access_token: '…', id_token: '…' }))
})

test('a public client without PKCE: invalid_request', async () => {
  expectReturned(await visitor().open(open.authorizeUrl()), REDIRECT, 'invalid_request')
})

test('a confidential client without PKCE: invalid_request, unless its application says optional', async () => {
  expectReturned(await visitor().open(confidential.authorizeUrl()), REDIRECT, 'invalid_request')
  const old = await register('old-client', '--pkce', 'optional')
  const step = await visitor().walk(old.authorizeUrl(), ALICE)
  assert.ok(step.left?.searchParams.get('code'), `expected a code, got: ${step.left ?? step.page}`)
  expectTokens(await old.redeem(step.left.searchParams.get('code')))
})

test('CVE-2024-23647: with a challenge at authorize, a token request without verifier fails; a verifier without challenge too', async () => {
  const old = await register('old-client-two', '--pkce', 'optional')
  const { code } = await old.code(visitor(), ALICE)
  expectOAuthError(await old.redeem(code), 400, 'invalid_grant', 'invalid_request')
  const step = await visitor().walk(old.authorizeUrl(), ALICE)
  expectOAuthError(await old.redeem(step.left.searchParams.get('code'), pkce().verifier), 400, 'invalid_grant', 'invalid_request')
})

test('a repeated parameter is refused (RFC 6749 3.1)', async () => {
  const url = `${confidential.authorizeUrl({}, { challenge: pkce().challenge })}&scope=openid`
  expectReturned(await visitor().open(url), REDIRECT, 'invalid_request')
  const twice = `${confidential.authorizeUrl({}, { challenge: pkce().challenge })}&redirect_uri=${encodeURIComponent('https://evil.example/')}`
  expectRefusalPage(await visitor().open(twice), 400)
})

test('cancelled consent: access_denied at the client', async () => {
  const asks = await register('asks', '--consent', 'explicit')
  const step = await visitor().walk(asks.authorizeUrl({ state: 's' }, { challenge: pkce().challenge }), { ...ALICE, decision: 'deny' })
  const answer = expectReturned(step, REDIRECT, 'access_denied')
  assert.equal(answer.get('state'), 's')
})

test('RFC 8252 8.6: a public client at a loopback address is not let through silently before somebody said yes', async () => {
  const native = await register('native', '--public')
  const who = await alice()
  const silently = () => who.open(native.authorizeUrl({ prompt: 'none' }, { challenge: pkce().challenge }))
  expectReturned(await silently(), REDIRECT, 'consent_required', 'interaction_required')
  await native.tokens(who, ALICE)
  assert.ok((await silently()).left?.searchParams.get('code'), 'the answer is remembered')
})

test('consent needed with prompt=none: consent_required', async () => {
  const asks = await register('asks-silently', '--consent', 'explicit')
  expectReturned(
    await (await alice()).open(asks.authorizeUrl({ prompt: 'none' }, { challenge: pkce().challenge })),
    REDIRECT,
    'consent_required',
    'interaction_required',
  )
})

test('prompt=login shows the form in spite of a session', async () => {
  const step = await (await alice()).open(confidential.authorizeUrl({ prompt: 'login' }, { challenge: pkce().challenge }))
  assert.ok(formsOf(step.page.text).some((form) => 'password' in form.fields), `expected the sign-in form\n${step.page}`)
})

test('prompt=select_account shows a page in spite of a session', async () => {
  const step = await (await alice()).open(confidential.authorizeUrl({ prompt: 'select_account' }, { challenge: pkce().challenge }))
  expectStatus(step.page, 200)
  assert.ok(!step.left, `sent on to ${step.left}`)
})

test('max_age=0 shows the form in spite of a session', async () => {
  const step = await (await alice()).open(confidential.authorizeUrl({ max_age: '0' }, { challenge: pkce().challenge }))
  assert.ok(formsOf(step.page.text).some((form) => 'password' in form.fields), `expected the sign-in form\n${step.page}`)
})

test('max_age passed with prompt=none: login_required', async () => {
  const who = await alice()
  await sleep(2100)
  const step = await who.open(confidential.authorizeUrl({ max_age: '1', prompt: 'none' }, { challenge: pkce().challenge }))
  expectReturned(step, REDIRECT, 'login_required')
})

// ------------------------------------------------------------------------------------------- not for this person

test('an application not for you: a page with a code, and explain names the rule', async () => {
  const step = await visitor().walk(confidential.authorizeUrl({}, { challenge: pkce().challenge }), BOB)
  const code = expectRefusalPage(step, 403)
  const why = JSON.stringify(await door.cli('explain', code))
  assert.match(why, /audience/i, why)
  assert.match(why, /bob/, why)
  assert.match(why, /grafana/, why)
  const plain = await door.run(['explain', code])
  assert.equal(plain.status, 0, plain.stderr)
  assert.match(plain.stdout, /staff/, 'the group that would let him in')
  assert.ok(!plain.stdout.includes(BOB.password))
})

test('explain --user --application tells both outcomes before anybody tries', async () => {
  const yes = JSON.stringify(await door.cli('explain', '--user', 'alice', '--application', 'grafana'))
  assert.match(yes, /allow/i, yes)
  const no = JSON.stringify(await door.cli('explain', '--user', 'bob', '--application', 'grafana'))
  assert.match(no, /den|refus/i, no)
})

test('default deny: an application without an audience admits nobody, not even the administrator', async () => {
  const app = await door.addApplication('closed', '--confidential', '--redirect-uri', REDIRECT)
  const closed = new HandClient(door, app, REDIRECT)
  for (const person of [ALICE, ADMIN]) {
    expectRefusalPage(await visitor().walk(closed.authorizeUrl({}, { challenge: pkce().challenge }), person), 403)
  }
})

test('membership through a nested group counts, and losing it ends the refresh token', async () => {
  await door.addGroup('company')
  await door.cli('group', 'create', 'unit', '--parent', 'company')
  const carol = { username: 'carol', email: 'carol@example.org', name: 'Carol', password: 'solid-Anchor-31-maple' }
  await door.addUser(carol, '--group', 'unit')
  const app = await door.addApplication('company-wide', '--confidential', '--redirect-uri', REDIRECT, '--allow-group', 'company')
  const wide = new HandClient(door, app, REDIRECT)
  const tokens = await wide.tokens(visitor(), carol)
  await door.cli('group', 'member', 'remove', 'unit', 'carol')
  let last
  for (let turn = 0; turn < 30; turn += 1) {
    last = await wide.refresh(tokens.refresh_token)
    if (last.status !== 200) break
    tokens.refresh_token = last.json().refresh_token
    await sleep(100)
  }
  expectOAuthError(last, 400, 'invalid_grant')
})

test('a deactivated person: sign-in refused, tokens dead', async () => {
  const dave = { username: 'dave', email: 'dave@example.org', name: 'Dave', password: 'early-Walnut-63-harbor' }
  await door.addUser(dave, '--group', 'staff')
  const tokens = await confidential.tokens(visitor(), dave)
  await door.cli('user', 'deactivate', 'dave')
  let active = true
  for (let turn = 0; turn < 30 && active; turn += 1) {
    active = (await confidential.introspect(tokens.access_token)).json().active
    await sleep(100)
  }
  assert.equal(active, false)
  expectOAuthError(await confidential.refresh(tokens.refresh_token), 400, 'invalid_grant')
  expectStatus(await confidential.userinfo(tokens.access_token), 401)
  const step = await visitor().walk(confidential.authorizeUrl({}, { challenge: pkce().challenge }), dave)
  assert.ok(!step.left, `a deactivated person got ${step.left}`)
})

// ----------------------------------------------------------------------------------------------------- token errors

test('wrong secret by Basic: 401 invalid_client with WWW-Authenticate', async () => {
  const { client_id: id } = confidential.app
  const answer = await send(confidential.endpoint('token'), { form: { grant_type: 'client_credentials' }, headers: basic(id, 'wrong') })
  expectOAuthError(answer, 401, 'invalid_client')
  assert.match(answer.headers['www-authenticate'] ?? '', /^Basic/i, answer.toString())
})

test('wrong secret in the body, unknown client, no client at all: 401 invalid_client', async () => {
  const { client_id: id } = confidential.app
  const forms = [
    { grant_type: 'client_credentials', client_id: id, client_secret: 'wrong' },
    { grant_type: 'client_credentials', client_id: 'nobody', client_secret: 'x' },
    { grant_type: 'refresh_token', client_id: id, refresh_token: 'x' },
  ]
  for (const form of forms) expectOAuthError(await send(confidential.endpoint('token'), { form }), 401, 'invalid_client')
  expectOAuthError(await send(confidential.endpoint('token'), { form: { grant_type: 'refresh_token', refresh_token: 'x' } }), 401, 'invalid_client')
})

test('two ways of client authentication at once: refused (RFC 6749 2.3)', async () => {
  const { client_id: id, client_secret: secret } = confidential.app
  const answer = await confidential.post('token', { grant_type: 'refresh_token', refresh_token: 'x', client_id: id, client_secret: secret })
  expectOAuthError(answer, answer.status === 401 ? 401 : 400, 'invalid_request', 'invalid_client')
})

for (const endpoint of ['introspect', 'revoke']) {
  test(`wrong secret at ${endpoint}: 401 invalid_client`, async () => {
    const answer = await send(confidential.endpoint(endpoint), {
      form: { token: 'x' },
      headers: basic(confidential.app.client_id, 'wrong'),
    })
    expectOAuthError(answer, 401, 'invalid_client')
  })
}

test('wrong verifier: invalid_grant', async () => {
  const { code } = await confidential.code(visitor(), ALICE)
  expectOAuthError(await confidential.redeem(code, pkce().verifier), 400, 'invalid_grant')
})

test('no verifier: invalid_grant or invalid_request', async () => {
  const { code } = await open.code(visitor(), ALICE)
  expectOAuthError(await open.redeem(code), 400, 'invalid_grant', 'invalid_request')
})

test('another redirect_uri at the token endpoint: invalid_grant', async () => {
  const { code, verifier } = await confidential.code(visitor(), ALICE)
  expectOAuthError(await confidential.redeem(code, verifier, { redirect_uri: 'http://127.0.0.1:9/other' }), 400, 'invalid_grant')
})

test("another client's code: invalid_grant, and the owner's redemption is not harmed by a public stranger", async () => {
  const { code, verifier } = await confidential.code(visitor(), ALICE)
  expectOAuthError(await open.redeem(code, verifier), 400, 'invalid_grant')
})

test('a code used twice: invalid_grant, and the first tokens are dead', async () => {
  for (const party of [confidential, open]) {
    const { code, verifier } = await party.code(visitor(), ALICE)
    const tokens = expectTokens(await party.redeem(code, verifier))
    expectOAuthError(await party.redeem(code, verifier), 400, 'invalid_grant')
    expectOAuthError(await party.refresh(tokens.refresh_token), 400, 'invalid_grant')
    expectStatus(await party.userinfo(tokens.access_token), 401)
    if (party.app.client_secret) {
      assert.deepEqual((await party.introspect(tokens.access_token)).json(), { active: false })
    }
  }
})

test('an expired code: invalid_grant', async () => {
  const quick = await register('quick', '--code-lifetime', '1s')
  const { code, verifier } = await quick.code(visitor(), ALICE)
  await sleep(2100)
  expectOAuthError(await quick.redeem(code, verifier), 400, 'invalid_grant')
})

test('an expired access token: 401 invalid_token at userinfo, inactive at introspection', async () => {
  const quick = await register('quick-access', '--access-token-lifetime', '1s')
  const tokens = await quick.tokens(visitor(), ALICE)
  assert.equal(tokens.expires_in, 1)
  await sleep(2100)
  const answer = expectStatus(await quick.userinfo(tokens.access_token), 401)
  assert.match(answer.headers['www-authenticate'] ?? '', /Bearer.*error="?invalid_token/, answer.toString())
  assert.equal((await quick.introspect(tokens.access_token)).json().active, false)
  expectTokens(await quick.refresh(tokens.refresh_token))
})

test('an expired refresh token: invalid_grant', async () => {
  const quick = await register('quick-refresh', '--refresh-token-lifetime', '1s')
  const tokens = await quick.tokens(visitor(), ALICE)
  await sleep(2100)
  expectOAuthError(await quick.refresh(tokens.refresh_token), 400, 'invalid_grant')
})

test('a refresh may narrow the scope and never widen it', async () => {
  const tokens = await confidential.tokens(visitor(), ALICE, { scope: 'openid email offline_access' })
  expectOAuthError(await confidential.refresh(tokens.refresh_token, { scope: 'openid email profile' }), 400, 'invalid_scope')
  const narrow = expectTokens(await confidential.refresh(tokens.refresh_token, { scope: 'openid' }))
  const person = expectStatus(await confidential.userinfo(narrow.access_token), 200).json()
  assert.equal(person.email, undefined, JSON.stringify(person))
})

test("another client's refresh token: invalid_grant, and it still works for its owner", async () => {
  const tokens = await confidential.tokens(visitor(), ALICE)
  expectOAuthError(await open.refresh(tokens.refresh_token), 400, 'invalid_grant')
  expectTokens(await confidential.refresh(tokens.refresh_token))
})

test('unknown, missing and forbidden grant types', async () => {
  expectOAuthError(await confidential.post('token', { grant_type: 'password', username: 'alice', password: ALICE.password }), 400, 'unsupported_grant_type')
  expectOAuthError(await confidential.post('token', { grant_type: 'made-up' }), 400, 'unsupported_grant_type')
  expectOAuthError(await confidential.post('token', {}), 400, 'invalid_request')
  expectOAuthError(await confidential.post('token', { grant_type: 'client_credentials' }), 400, 'unauthorized_client')
  expectOAuthError(await open.post('token', { grant_type: 'client_credentials' }), 400, 'unauthorized_client')
})

test('client_credentials cannot have offline_access or openid identity of a person', async () => {
  const machine = await register('machine', '--grant', 'client_credentials')
  const answer = await machine.post('token', { grant_type: 'client_credentials', scope: 'openid offline_access' })
  if (answer.status === 200) {
    const tokens = answer.json()
    assert.equal(tokens.refresh_token, undefined)
    assert.equal(tokens.id_token, undefined)
  } else {
    expectOAuthError(answer, 400, 'invalid_scope')
  }
})

test('the token endpoint by GET, with JSON, with a query: refused, never 500', async () => {
  const url = confidential.endpoint('token')
  expectStatus(await send(url), 405)
  const json = await send(url, { json: { grant_type: 'client_credentials' }, headers: basic(confidential.app.client_id, confidential.app.client_secret) })
  expectStatus(json, 400, 415)
  const { code, verifier } = await confidential.code(visitor(), ALICE)
  const query = new URLSearchParams({ grant_type: 'authorization_code', code, redirect_uri: REDIRECT, code_verifier: verifier })
  const answer = await send(`${url}?${query}`, { method: 'POST', form: {}, headers: basic(confidential.app.client_id, confidential.app.client_secret) })
  expectStatus(answer, 400)
})

test('a repeated parameter at the token endpoint: invalid_request (RFC 6749 3.2)', async () => {
  const answer = await send(confidential.endpoint('token'), {
    form: [
      ['grant_type', 'refresh_token'],
      ['refresh_token', 'a'],
      ['refresh_token', 'b'],
    ],
    headers: basic(confidential.app.client_id, confidential.app.client_secret),
  })
  expectOAuthError(answer, 400, 'invalid_request')
})

test('an enormous body: 413 and the server lives', async () => {
  const answer = await send(confidential.endpoint('token'), { body: `grant_type=${'a'.repeat(4_000_000)}`, headers: { 'content-type': 'application/x-www-form-urlencoded' }, agent: new http.Agent() }).catch((error) => error)
  if (!(answer instanceof Error)) expectStatus(answer, 400, 413)
  expectStatus(await send(`${door.url}/-/health/live/`), 200)
})

test('userinfo: no token 401 without error code, a bad token invalid_token (RFC 6750 3.1)', async () => {
  const url = confidential.endpoint('userinfo')
  const bare = expectStatus(await send(url), 401)
  assert.match(bare.headers['www-authenticate'] ?? '', /^Bearer/, bare.toString())
  assert.ok(!/error=/.test(bare.headers['www-authenticate']), bare.toString())
  for (const token of ['x', 'a.b.c', `${Buffer.from('{"alg":"none"}').toString('base64url')}.e30.`]) {
    const answer = expectStatus(await confidential.userinfo(token), 401)
    assert.match(answer.headers['www-authenticate'] ?? '', /error="?invalid_token/, answer.toString())
  }
})

test('userinfo refuses a refresh token, an ID token and a token without openid', async () => {
  const tokens = await confidential.tokens(visitor(), ALICE)
  expectStatus(await confidential.userinfo(tokens.refresh_token), 401)
  expectStatus(await confidential.userinfo(tokens.id_token), 401)
  const machine = await register('machine-two', '--grant', 'client_credentials')
  const own = expectTokens(await machine.post('token', { grant_type: 'client_credentials' }))
  expectStatus(await machine.userinfo(own.access_token), 401, 403)
})

test('CVE-2024-47077: introspection tells nothing about another client’s token', async () => {
  const tokens = await confidential.tokens(visitor(), ALICE)
  const other = await register('nosy')
  for (const token of [tokens.access_token, tokens.refresh_token]) {
    assert.deepEqual(expectStatus(await other.introspect(token), 200).json(), { active: false })
  }
})

test("revocation of another client's token changes nothing (RFC 7009 2.1)", async () => {
  const tokens = await confidential.tokens(visitor(), ALICE)
  const other = await register('meddler')
  expectStatus(await other.revoke(tokens.refresh_token), 200, 400)
  assert.equal((await confidential.introspect(tokens.refresh_token)).json().active, true)
})

test('revocation of rubbish: 200 (RFC 7009 2.2)', async () => {
  expectStatus(await confidential.revoke('no-such-token'), 200)
  expectStatus(await confidential.revoke('no-such-token', { token_type_hint: 'made_up' }), 200)
})

test('a private_key_jwt assertion is refused when replayed, expired, unsigned, for another audience or signed by a stranger', async () => {
  const { SignJWT, exportJWK, generateKeyPair } = await import('jose')
  const { default: fs } = await import('node:fs')
  const pair = await generateKeyPair('ES256', { extractable: true })
  const stranger = await generateKeyPair('ES256')
  const file = `${door.dataFolder}/refusal-jwks.json`
  fs.writeFileSync(file, JSON.stringify({ keys: [{ ...(await exportJWK(pair.publicKey)), kid: 'k', alg: 'ES256', use: 'sig' }] }))
  const { app } = await register('asserting', '--auth-method', 'private_key_jwt', '--jwks-file', file, '--grant', 'client_credentials')
  const now = Math.floor(Date.now() / 1000)
  const make = (change = {}, key = pair.privateKey) => {
    const claims = { iss: app.client_id, sub: app.client_id, aud: app.issuer, iat: now, exp: now + 60, jti: randomBytes(12).toString('hex'), ...change }
    return new SignJWT(claims).setProtectedHeader({ alg: 'ES256', kid: 'k' }).sign(key)
  }
  const ask = (assertion) =>
    send(confidential.endpoint('token'), {
      form: {
        grant_type: 'client_credentials',
        client_id: app.client_id,
        client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
        client_assertion: assertion,
      },
    })
  const once = await make()
  expectTokens(await ask(once))
  const unsigned = `${Buffer.from('{"alg":"none"}').toString('base64url')}.${(await make()).split('.')[1]}.`
  const refused = {
    replayed: once,
    expired: await make({ exp: now - 600, iat: now - 700 }),
    unsigned,
    'for another audience': await make({ aud: 'https://elsewhere.example/' }),
    'signed by a stranger': await make({}, stranger.privateKey),
    'for another subject': await make({ sub: 'somebody' }),
    'without jti': await make({ jti: undefined }),
    'without exp': await make({ exp: undefined }),
  }
  for (const [name, assertion] of Object.entries(refused)) {
    const answer = await ask(assertion)
    if (![400, 401].includes(answer.status)) assert.fail(`an assertion ${name} was not refused\n${answer}`)
    expectOAuthError(answer, answer.status, 'invalid_client', 'invalid_request')
  }
})

test('a pushed request is bound to its client and used once', async () => {
  const { challenge } = pkce()
  const discovery = (await send(`${confidential.app.issuer}.well-known/openid-configuration`)).json()
  const push = await send(discovery.pushed_authorization_request_endpoint, {
    form: { response_type: 'code', client_id: confidential.app.client_id, redirect_uri: REDIRECT, scope: 'openid', code_challenge: challenge, code_challenge_method: 'S256' },
    headers: basic(confidential.app.client_id, confidential.app.client_secret),
  })
  expectStatus(push, 201)
  const { request_uri: uri, expires_in: lifetime } = push.json()
  assert.ok(lifetime > 0 && lifetime <= 600, push.toString())
  const at = (id) => `${confidential.endpoint('authorize')}?${new URLSearchParams({ client_id: id, request_uri: uri })}`
  expectRefusalPage(await (await alice()).open(at(open.app.client_id)), 400)
  const who = await alice()
  const step = await who.open(at(confidential.app.client_id))
  assert.ok(step.left?.searchParams.get('code'), `expected a code, got: ${step.left ?? step.page}`)
  const again = await who.open(at(confidential.app.client_id))
  if (again.left) assert.ok(again.left.searchParams.get('error'), `used twice: ${again.left}`)
  else expectRefusalPage(again, 400)
  const wrong = await send(discovery.pushed_authorization_request_endpoint, {
    form: { response_type: 'code', redirect_uri: 'https://evil.example/', scope: 'openid', code_challenge: challenge, code_challenge_method: 'S256' },
    headers: basic(confidential.app.client_id, confidential.app.client_secret),
  })
  expectOAuthError(wrong, 400, 'invalid_request', 'invalid_redirect_uri')
})

test('device: an unknown, a used and a foreign device code', async () => {
  const tv = await register('tv', '--public', '--grant', 'device_code')
  const grant_type = 'urn:ietf:params:oauth:grant-type:device_code'
  expectOAuthError(await tv.post('token', { grant_type, device_code: 'nonsense' }), 400, 'invalid_grant', 'expired_token')
  expectOAuthError(await open.post('device', { scope: 'openid' }), 400, 'unauthorized_client')
  const started = expectStatus(await tv.post('device', { scope: 'openid' }), 200).json()
  const other = await register('tv-two', '--public', '--grant', 'device_code')
  expectOAuthError(await other.post('token', { grant_type, device_code: started.device_code }), 400, 'invalid_grant')
})

test('CVE-2024-38371: the device page refuses a person who is not in the audience', async () => {
  const tv = await register('tv-staff', '--public', '--grant', 'device_code')
  const started = expectStatus(await tv.post('device', { scope: 'openid' }), 200).json()
  const bob = visitor()
  let step = await bob.walk(started.verification_uri_complete, BOB)
  // The link only fills the code in.
  const entry = formsOf(step.page.text).find((form) => 'user_code' in form.fields)
  if (entry) step = await bob.submit(step.page, entry)
  const consent = formsOf(step.page.text).find((form) => form.buttons.some((button) => button.name === 'decision'))
  if (consent) step = await bob.submit(step.page, consent, { decision: 'allow' }, consent.buttons.find((button) => button.value === 'allow'))
  expectRefusalPage(step, 403)
  const answer = await tv.post('token', { grant_type: 'urn:ietf:params:oauth:grant-type:device_code', device_code: started.device_code })
  assert.notEqual(answer.status, 200, answer.toString())
})

// --------------------------------------------------------------------------------- the same mistakes in real clients

test('openid-client: wrong secret, wrong verifier, wrong state, code used twice', async () => {
  const { app } = confidential
  const insecure = { execute: [openid.allowInsecureRequests] }
  const right = await openid.discovery(new URL(app.issuer), app.client_id, {}, openid.ClientSecretBasic(app.client_secret), insecure)
  const wrong = await openid.discovery(new URL(app.issuer), app.client_id, {}, openid.ClientSecretBasic('wrong'), insecure)
  const refused = (code) => (error) => {
    assert.equal(error.error ?? error.cause?.[0]?.parameters?.error, code, `got: ${error} ${JSON.stringify(error.cause ?? null)}`)
    return true
  }
  const checks = ({ left, verifier }) => ({ pkceCodeVerifier: verifier, expectedState: left.searchParams.get('state') })
  const one = await confidential.code(visitor(), ALICE)
  await assert.rejects(openid.authorizationCodeGrant(wrong, one.left, checks(one)), (error) => {
    assert.equal(error.status, 401, `got: ${error}`)
    return true
  })
  await openid.authorizationCodeGrant(right, one.left, checks(one))
  await assert.rejects(openid.authorizationCodeGrant(right, one.left, checks(one)), refused('invalid_grant'))
  const two = await confidential.code(visitor(), ALICE)
  await assert.rejects(
    openid.authorizationCodeGrant(right, two.left, { ...checks(two), pkceCodeVerifier: openid.randomPKCECodeVerifier() }),
    refused('invalid_grant'),
  )
})

test('oauth4webapi: wrong secret, wrong verifier, code used twice', async () => {
  const { app } = confidential
  const insecure = { [oauth.allowInsecureRequests]: true }
  const issuer = new URL(app.issuer)
  const as = await oauth.processDiscoveryResponse(issuer, await oauth.discoveryRequest(issuer, insecure))
  const client = { client_id: app.client_id }
  const redeem = async ({ left }, verifier, secret = app.client_secret) => {
    const callback = oauth.validateAuthResponse(as, client, left, left.searchParams.get('state'))
    const response = await oauth.authorizationCodeGrantRequest(as, client, oauth.ClientSecretBasic(secret), callback, REDIRECT, verifier, insecure)
    return oauth.processAuthorizationCodeResponse(as, client, response)
  }
  const one = await confidential.code(visitor(), ALICE)
  await assert.rejects(redeem(one, one.verifier, 'wrong'), (error) => error.status === 401)
  await redeem(one, one.verifier)
  await assert.rejects(redeem(one, one.verifier), (error) => error.error === 'invalid_grant')
  const two = await confidential.code(visitor(), ALICE)
  await assert.rejects(redeem(two, oauth.generateRandomCodeVerifier()), (error) => error.error === 'invalid_grant')
})

// -------------------------------------------------------------------------------------------------- sign-in refusals

test('a wrong password and an unknown name get the same page', async () => {
  const attempt = async (person) => {
    const who = visitor()
    const page = await who.signIn(person)
    const text = page.text
      .replace(/value="[^"]*"/g, '')
      .replace(/DW-[0-9A-Z-]+/g, '')
      .replaceAll(person.username, '')
    return { status: page.status, digest: createHash('sha256').update(text.replace(/[\w-]{20,}/g, '')).digest('hex'), text }
  }
  const wrong = await attempt({ username: 'alice', password: 'not-her-password' })
  const unknown = await attempt({ username: 'nobody-here', password: 'not-her-password' })
  assert.equal(wrong.status, unknown.status)
  assert.equal(wrong.digest, unknown.digest, `wrong password:\n${wrong.text}\n\nunknown name:\n${unknown.text}`)
})

test('sign-in works by e-mail address and in any letter case', async () => {
  for (const username of [ALICE.email, ALICE.email.toUpperCase(), 'Alice']) {
    const step = await visitor().walk(confidential.authorizeUrl({}, { challenge: pkce().challenge }), { username, password: ALICE.password })
    assert.ok(step.left?.searchParams.get('code'), `${username}: ${step.left ?? step.page}`)
  }
})

test('a sign-in form posted from another site is refused', async () => {
  const who = visitor()
  const { page } = await who.open('/if/user/')
  const form = formsOf(page.text).find((one) => 'password' in one.fields)
  assert.ok(form, `expected the sign-in form\n${page}`)
  const answer = await send(new URL(form.action || page.url, page.url).href, {
    form: { ...form.fields, username: ALICE.username, password: ALICE.password },
    jar: who.jar,
    headers: { origin: 'https://evil.example', 'sec-fetch-site': 'cross-site' },
  })
  expectStatus(answer, 400, 403)
  assert.ok(!who.jar.all().some(({ line }) => /session/i.test(line.split('=')[0])), JSON.stringify(who.jar.all()))
})

test('anonymous requests leave nothing behind: no session cookie before the sign-in', async () => {
  const who = visitor()
  await who.open(confidential.authorizeUrl({}, { challenge: pkce().challenge }))
  for (const { line } of who.jar.all()) assert.match(line, /HttpOnly/i, `cookies are HttpOnly: ${line}`)
  await who.signIn(ALICE)
  const names = who.jar.all().map(({ line }) => line)
  assert.ok(names.some((line) => /HttpOnly/i.test(line) && /SameSite=Lax/i.test(line)), JSON.stringify(names))
})
