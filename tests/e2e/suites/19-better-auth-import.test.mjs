// An app moves here from the real better-auth: people sign up there, on a database on disk, which is imported; then they sign in here
// with their passwords, and browsers that were signed in there still are.

import fs from 'node:fs'
import path from 'node:path'
import { createHmac } from 'node:crypto'
import { after, before, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { databaseName, engine, logFolder, postgres, startDoorward, temporaryFolder } from '../lib/doorward.mjs'
import { assert } from '../lib/expect.mjs'
import { send } from '../lib/http.mjs'

const folder = path.join(import.meta.dirname, '..', 'better-auth')
const installed = fs.existsSync(path.join(folder, 'v17', 'node_modules', 'better-auth'))
const SECRET = 'doorward-test-secret-0123456789abcdef'
const PASSWORD = 'correct horse battery staple'
const PEOPLE = 40
const PARTS = ['two-factor', 'organization', 'admin', 'username', 'api-key', 'bearer']

/** A one-time password, from the seed in what authenticator programs read. */
function totp(uri) {
  const seed = new URL(uri).searchParams.get('secret')
  const bits = [...seed].map((c) => 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'.indexOf(c).toString(2).padStart(5, '0')).join('')
  const key = Buffer.from(bits.match(/.{8}/g).map((byte) => Number.parseInt(byte, 2)))
  const step = Buffer.alloc(8)
  step.writeBigUInt64BE(BigInt(Math.floor(Date.now() / 30_000)))
  const tag = createHmac('sha1', key).update(step).digest()
  const number = tag.readUInt32BE(tag.at(-1) & 15) & 0x7fffffff
  return String(number % 1_000_000).padStart(6, '0')
}

/** The real server, called without a network; `sign-up` and the rest as its own handlers answer them. */
async function startReal(place, baseURL) {
  const databases = await import('../better-auth/v17/databases.mjs')
  const { apiKey, betterAuth, plugins } = await import('../better-auth/v17/packages.mjs')
  const { openDatabase } = await import('../better-auth/databases.mjs')
  const { database, end } = openDatabase(databases, place)
  const auth = betterAuth({
    appName: 'Harbour',
    baseURL,
    secret: SECRET,
    database,
    telemetry: { enabled: false },
    rateLimit: { enabled: false },
    emailAndPassword: { enabled: true },
    plugins: [
      plugins.twoFactor({ issuer: 'Harbour' }), plugins.organization({ teams: { enabled: true } }), plugins.admin(), plugins.username(), apiKey(),
      plugins.bearer(),
    ],
  })
  const { runMigrations } = await databases.getMigrations(auth.options)
  await runMigrations()
  const call = async (method, name, { body, cookie } = {}) => {
    const headers = { origin: baseURL, ...(body && { 'content-type': 'application/json' }), ...(cookie && { cookie }) }
    const answer = await auth.handler(new Request(`${baseURL}/api/auth${name}`, { method, headers, body: body && JSON.stringify(body) }))
    const text = await answer.text()
    assert.ok(answer.ok, `${method} ${name}: ${answer.status} ${text}`)
    return { body: text && JSON.parse(text), cookie: cookieOf(answer.headers.getSetCookie()) }
  }
  return { call, end, auth }
}

/** The session's cookie as browsers send it back. */
function cookieOf(setCookies) {
  const found = setCookies.find((line) => /session_token=[^;]/.test(line))
  return found?.split(';')[0]
}

describe('an app moves here', { skip: !installed && 'better-auth is not installed' }, () => {
  let door, old, place, ids
  const cookies = new Map()
  let totpURI, key, organization

  const ask = (method, name, { body, cookie } = {}) =>
    send(`${door.url}/api/auth${name}`, {
      method,
      headers: { origin: door.url, ...(body && { 'content-type': 'application/json' }), ...(cookie && { cookie }) },
      body: body && JSON.stringify(body),
    })
  const json = async (...args) => JSON.parse((await ask(...args)).text || 'null')
  const importing = (...more) => door.cli('import', 'better-auth', '--app', 'shop', '--from', place, ...more)

  before(async () => {
    door = await startDoorward()
    await door.cli('application', 'create', 'shop', '--allow-everyone')
    const parts = PARTS.flatMap((part) => ['--plugin', part])
    await door.cli('app-auth', 'set', 'shop', '--base-url', `${door.url}/api/auth`, '--secret-stdin', '--rate-limit', 'no', ...parts, {
      input: `${SECRET}\n`,
    })
    for (const until = Date.now() + 5000; Date.now() < until && (await ask('GET', '/ok')).status !== 200; ) await sleep(30)
    if (engine === 'postgres') {
      const database = databaseName()
      postgres(`CREATE DATABASE ${database.name}`)
      place = database.url
    } else {
      place = path.join(temporaryFolder('better-auth'), 'shop.sqlite')
    }
    ids = path.join(logFolder, 'ids.csv')
    old = await startReal(place, door.url)
    for (let n = 0; n < PEOPLE; n += 1) {
      const body = { name: `Person ${n}`, email: `P${n}@example.org`, password: `${PASSWORD} ${n}`, username: `person_${n}` }
      const made = await old.call('POST', '/sign-up/email', { body })
      cookies.set(n, made.cookie)
    }
    const cookie = cookies.get(0)
    const factor = await old.call('POST', '/two-factor/enable', { body: { password: `${PASSWORD} 0` }, cookie })
    totpURI = factor.body.totpURI
    const confirmed = await old.call('POST', '/two-factor/verify-totp', { body: { code: totp(totpURI) }, cookie })
    cookies.set(0, confirmed.cookie ?? cookie)
    key = (await old.call('POST', '/api-key/create', { body: { name: 'robot' }, cookie: cookies.get(1) })).body.key
    organization = (await old.call('POST', '/organization/create', { body: { name: 'Org', slug: 'org' }, cookie: cookies.get(2) })).body
    await old.call('POST', '/sign-out', { cookie: cookies.get(3), body: {} })
  })
  after(async () => {
    await old?.end()
    await door?.stop()
  })

  test('a dry run counts everything and writes nothing', async () => {
    const { import: report } = await importing('--dry-run')
    const of = (table) => report.tables.find((found) => found.table === table)
    assert.equal(of('user').imported, PEOPLE)
    assert.equal(of('account').imported, PEOPLE)
    assert.equal(of('session').imported, PEOPLE - 1)
    assert.equal(report.same_secret, 'yes')
    const users = await door.cli('user', 'list')
    assert.ok(!JSON.stringify(users).includes('p1@example.org'))
  })

  test('the import takes people, passwords, sessions, factors, keys and organizations; the report has no secret', async () => {
    const { import: report } = await importing('--ids', ids)
    const shown = JSON.stringify(report)
    for (const [table, rows] of [['user', PEOPLE], ['account', PEOPLE], ['session', PEOPLE - 1], ['twoFactor', 1], ['apikey', 1], ['organization', 1], ['member', 1]]) {
      const found = report.tables.find((one) => one.table === table)
      assert.equal(found?.imported, rows, `${table}: ${shown}`)
    }
    assert.deepEqual(report.skipped, [])
    const token = decodeURIComponent(cookies.get(1).split('=')[1]).split('.')[0]
    for (const secret of [SECRET, token, key]) assert.ok(!shown.includes(secret))
    assert.match(fs.readFileSync(ids, 'utf8'), new RegExp(`^organization,"${organization.id}",[0-9a-f-]{36}$`, 'm'))
  })

  test('everybody who was signed in there is signed in here, with the very cookie', async () => {
    for (const [n, cookie] of cookies) {
      const session = await json('GET', '/get-session', { cookie })
      if (n === 3) assert.equal(session, null, 'signed out there')
      else assert.equal(session?.user.email, `p${n}@example.org`, cookie)
    }
    const forged = `${cookies.get(1).slice(0, -6)}AAA%3D`
    assert.equal(await json('GET', '/get-session', { cookie: forged }), null)
    const here = await json('GET', '/organization/get-full-organization', { cookie: cookies.get(2) })
    assert.deepEqual([here.slug, here.members[0].role], ['org', 'owner'])
  })

  test('passwords sign in, by address and by user name; wrong ones do not', async () => {
    for (const n of [1, 2, 3]) {
      for (let round = 0; round < 2; round += 1) {
        const good = await ask('POST', '/sign-in/email', { body: { email: `p${n}@example.org`, password: `${PASSWORD} ${n}` } })
        assert.equal(good.status, 200, good.toString())
      }
    }
    const named = await ask('POST', '/sign-in/username', { body: { username: 'person_4', password: `${PASSWORD} 4` } })
    assert.equal(named.status, 200, named.toString())
    const wrong = await ask('POST', '/sign-in/email', { body: { email: 'p5@example.org', password: `${PASSWORD} 6` } })
    assert.equal(wrong.status, 401, wrong.toString())
  })

  test('a second factor is asked for, and the old authenticator answers', async () => {
    const first = await ask('POST', '/sign-in/email', { body: { email: 'p0@example.org', password: `${PASSWORD} 0` } })
    assert.equal(JSON.parse(first.text).twoFactorRedirect, true, first.toString())
    const cookie = first.headers['set-cookie'].map((one) => one.split(';')[0]).find((one) => one.includes('two_factor='))
    const second = await ask('POST', '/two-factor/verify-totp', { body: { code: totp(totpURI) }, cookie })
    assert.equal(second.status, 200, second.toString())
  })

  test('the copy of a session in a cookie is one that better-auth reads', async () => {
    const { getCookieCache } = await import('../better-auth/v17/databases.mjs')
    const cookiesOf = (answer) => (answer.headers['set-cookie'] ?? []).map((one) => one.split(';')[0])
    const none = await ask('GET', '/get-session', { cookie: cookies.get(5) })
    assert.deepEqual(cookiesOf(none).filter((one) => one.includes('session_data')), [], 'off by default')
    await door.cli('app-auth', 'set', 'shop', '--cookie-cache', '5m')
    let written = []
    for (const until = Date.now() + 5000; Date.now() < until && written.length === 0; await sleep(30)) {
      written = cookiesOf(await ask('GET', '/get-session', { cookie: cookies.get(5) })).filter((one) => one.includes('session_data'))
    }
    const headers = new Headers({ cookie: [cookies.get(5), ...written].join('; ') })
    const copy = await getCookieCache(headers, { secret: SECRET, isSecure: false, version: '1' })
    assert.equal(copy?.user.email, 'p5@example.org', String(written))
    assert.equal(await getCookieCache(headers, { secret: `${SECRET}x`, isSecure: false }), null)
    const read = await json('GET', '/get-session', { cookie: headers.get('cookie') })
    assert.equal(read.user.email, 'p5@example.org')
    await ask('POST', '/sign-out', { cookie: cookies.get(5), body: {} })
    assert.equal(await json('GET', '/get-session?disableCookieCache=true', { cookie: headers.get('cookie') }), null)
    await door.cli('app-auth', 'set', 'shop', '--cookie-cache', '0s')
  })

  test('a second run brings what is new and leaves what is here', async () => {
    const late = { name: 'Late', email: 'late@example.org', password: PASSWORD }
    const made = await old.call('POST', '/sign-up/email', { body: late })
    await ask('POST', '/sign-out', { cookie: cookies.get(7), body: {} })
    const { import: report } = await importing()
    const of = (table) => report.tables.find((found) => found.table === table)
    assert.deepEqual([of('user').imported, of('user').present], [1, PEOPLE])
    assert.equal(of('session').imported, 1)
    assert.equal((await json('GET', '/get-session', { cookie: made.cookie })).user.email, 'late@example.org')
    assert.equal(await json('GET', '/get-session', { cookie: cookies.get(7) }), null, 'signed out here, it stays so')
  })
})
