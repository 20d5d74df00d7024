// The command line beside a running server: what it changes, the server knows at once.

import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { ALICE, BOB, startDoorward } from '../lib/doorward.mjs'
import { assert, expectOAuthError, expectRefusalPage, expectReturned } from '../lib/expect.mjs'
import { Visitor, formsOf, send } from '../lib/http.mjs'
import { HandClient, pkce } from '../lib/oauth.mjs'

const REDIRECT = 'http://127.0.0.1:9/callback'
let door, party

before(async () => {
  door = await startDoorward()
  await door.addPeople()
  const app = await door.addApplication('live', '--confidential', '--redirect-uri', REDIRECT, '--allow-group', 'staff')
  party = new HandClient(door, app, REDIRECT)
})
after(() => door?.stop())

/** Tries until it holds, at most `limit` milliseconds; fails with the last reason. */
async function within(limit, check) {
  const until = Date.now() + limit
  for (;;) {
    try {
      return await check()
    } catch (error) {
      if (Date.now() > until) {
        error.message = `not within ${limit} ms: ${error.message}`
        throw error
      }
      await sleep(50)
    }
  }
}

const list = (answer) => (Array.isArray(answer) ? answer : (answer?.sessions ?? answer?.items ?? []))
const isSignIn = (page) => formsOf(page.text).some((form) => 'password' in form.fields)

test('a user made by the command line can sign in within 2 s', async () => {
  const carol = { username: 'carol', email: 'carol@example.org', name: 'Carol', password: 'solid-Anchor-31-maple' }
  const made = await door.addUser(carol)
  assert.ok(made.id && made.username === 'carol', JSON.stringify(made))
  await within(2000, async () => {
    const page = await new Visitor(door.url).signIn(carol)
    assert.ok(!isSignIn(page), page.toString())
  })
})

test('a group membership made by the command line opens the application within 2 s, and closes it again', async () => {
  const visitor = new Visitor(door.url)
  await visitor.signIn(BOB)
  const at = () => visitor.open(party.authorizeUrl({}, pkce()))
  expectRefusalPage(await at(), 403)
  await door.cli('group', 'member', 'add', 'staff', 'bob')
  await within(2000, async () => assert.ok((await at()).left, 'still refused'))
  await door.cli('group', 'member', 'remove', 'staff', 'bob')
  await within(2000, async () => expectRefusalPage(await at(), 403))
})

test('an application made by the command line is served within 2 s; deleted it is gone; restored it is back', async () => {
  const app = await door.cli('application', 'create', 'late', '--public', '--redirect-uri', REDIRECT, '--allow-everyone')
  const discovery = `${app.issuer}.well-known/openid-configuration`
  const status = async (wanted) => within(2000, async () => assert.equal((await send(discovery)).status, wanted))
  await status(200)
  await door.cli('application', 'delete', 'late')
  await status(404)
  await door.cli('application', 'restore', 'late')
  await status(200)
  const again = await door.cli('application', 'show', 'late')
  assert.equal(again.client_id, app.client_id, 'the same client after the restoration')
})

test('a redirect URI changed by the command line holds within 2 s', async () => {
  await door.addApplication('moving', '--confidential', '--redirect-uri', REDIRECT, '--allow-group', 'staff')
  const shown = await door.cli('application', 'show', 'moving')
  const moving = new HandClient(door, shown, 'https://new.example/callback')
  const visitor = new Visitor(door.url)
  await visitor.signIn(ALICE)
  expectRefusalPage(await visitor.open(moving.authorizeUrl({}, pkce())), 400)
  await door.cli('application', 'update', 'moving', '--redirect-uri', 'https://new.example/callback')
  await within(2000, async () => assert.ok((await visitor.open(moving.authorizeUrl({}, pkce()))).left, 'still refused'))
})

test('a session ended by the command line is refused within 1 s', async () => {
  const visitor = new Visitor(door.url)
  await visitor.signIn(ALICE)
  const sessions = list(await door.cli('session', 'list', '--user', 'alice'))
  assert.ok(sessions.length > 0, 'alice has a session')
  for (const session of sessions) await door.cli('session', 'end', session.id)
  await within(1000, async () => {
    assert.ok(isSignIn((await visitor.open('/if/user/')).page), 'the portal still opens')
    expectReturned(await visitor.open(party.authorizeUrl({ prompt: 'none' }, pkce())), REDIRECT, 'login_required')
  })
})

test('an app password made by the command line is in the portal; revoked there it is gone; a new password revokes the rest', async () => {
  const made = await door.cli('user', 'app-password', 'create', 'alice', '--name', 'nightly', '--expires', '30d')
  assert.match(made.secret, /^dwk_[\w-]{43}$/)
  await door.cli('user', 'app-password', 'create', 'alice', '--name', 'phone')
  const listed = async () => (await door.cli('user', 'app-password', 'list', 'alice')).map((one) => one.name)
  const visitor = new Visitor(door.url)
  await visitor.signIn(ALICE)
  const { page } = await visitor.open('/if/user/app-passwords/')
  assert.match(page.text, /nightly/)
  assert.doesNotMatch(page.text, /dwk_/)
  await visitor.submit(page, formsOf(page.text).find((form) => form.fields.revoke === made.id))
  assert.deepEqual(await listed(), ['phone'])
  const secret = await door.run(['user', 'password', 'alice', '--password-stdin', '--json'], { input: `${ALICE.password}\n` })
  assert.equal(secret.status, 0, secret.stderr)
  assert.deepEqual(await listed(), [])
})

test('a deleted person is out within 1 s, restored the person has the same subject', async () => {
  const erin = { username: 'erin', email: 'erin@example.org', name: 'Erin', password: 'spare-Lantern-58-quartz' }
  await door.addUser(erin, '--group', 'staff')
  const visitor = new Visitor(door.url)
  const tokens = await party.tokens(visitor, erin)
  const subject = (await party.userinfo(tokens.access_token)).json().sub
  await door.cli('user', 'delete', 'erin')
  await within(1000, async () => {
    assert.ok(isSignIn((await visitor.open('/if/user/')).page), 'the session lives')
    assert.equal((await party.introspect(tokens.access_token)).json().active, false)
  })
  expectOAuthError(await party.refresh(tokens.refresh_token), 400, 'invalid_grant')
  await door.cli('user', 'restore', 'erin')
  await within(2000, async () => {
    const again = await party.tokens(new Visitor(door.url), erin)
    assert.equal((await party.userinfo(again.access_token)).json().sub, subject)
  })
})

test('the last administrator cannot be deleted or deactivated', async () => {
  for (const action of ['delete', 'deactivate']) {
    const result = await door.run(['user', action, 'admin', '--json'])
    assert.notEqual(result.status, 0, `${action} went through: ${result.stdout}`)
    assert.match(result.stdout + result.stderr, /last|administrator/i, result.stdout + result.stderr)
  }
})

test('mistakes on the command line are refused with a reason and leave nothing half done', async () => {
  const cases = [
    [['user', 'create', 'alice', '--email', 'other@example.org', '--password-stdin'], /alice|exists|taken/i],
    [['user', 'create', 'frank', '--email', 'frank@example.org', '--password-stdin', '--group', 'no-such-group'], /no-such-group/],
    [['application', 'create', 'bad one', '--redirect-uri', REDIRECT, '--public'], /slug|name/i],
    [['application', 'create', 'token', '--redirect-uri', REDIRECT, '--public'], /reserved|token/i],
    [['application', 'create', 'script', '--redirect-uri', 'javascript:alert(1)', '--public'], /redirect/i],
    [['application', 'create', 'frag', '--redirect-uri', 'https://a.example/#x', '--public'], /fragment|redirect/i],
    [['application', 'create', 'nobody', '--redirect-uri', REDIRECT, '--public', '--allow-group', 'no-such-group'], /no-such-group/],
    [['group', 'create', 'staff'], /staff|exists|taken/i],
    [['user', 'delete', 'nobody-here'], /nobody-here/],
  ]
  for (const [args, reason] of cases) {
    const result = await door.run([...args, '--json'], { input: 'valid-Password-41-here\n' })
    const said = result.stdout + result.stderr
    assert.notEqual(result.status, 0, `${args.join(' ')} went through: ${said}`)
    assert.match(said, reason, args.join(' '))
    assert.doesNotMatch(said, /panicked/)
  }
  const frank = await door.run(['user', 'show', 'frank', '--json'])
  assert.notEqual(frank.status, 0, 'frank was not created')
})

test('two command lines at once both succeed', async () => {
  await Promise.all(Array.from({ length: 6 }, (_, index) => door.cli('group', 'create', `parallel-${index}`)))
  const groups = await door.cli('group', 'list')
  const names = JSON.stringify(groups)
  for (let index = 0; index < 6; index += 1) assert.match(names, new RegExp(`parallel-${index}`))
})
