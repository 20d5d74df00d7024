// The token API with its real counterparts: curl without a header, hashes that passlib wrote, tables of the old service in
// PostgreSQL, a gateway that checks tokens, and Synapse, which is stopped while a hundred people register.

import { spawn } from 'node:child_process'
import { createHmac } from 'node:crypto'
import fs from 'node:fs'
import http from 'node:http'
import path from 'node:path'
import { after, before, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { databaseName, engine, freePort, logFolder, postgres, startChild, startDoorward } from '../lib/doorward.mjs'
import { assert } from '../lib/expect.mjs'
import { findPython, startSynapse } from '../lib/synapse.mjs'

const SECRET = 'a shared secret of at least 32 bytes'
const PEOPLE = 100

/** curl as people type it; returns `{ status, body }`. */
function curl(...args) {
  return new Promise((resolve, reject) => {
    const child = spawn('curl', ['-sS', '--max-time', '20', '-w', '\n%{http_code}', ...args])
    let out = ''
    let problem = ''
    child.stdout.on('data', (chunk) => (out += chunk))
    child.stderr.on('data', (chunk) => (problem += chunk))
    child.on('error', reject)
    child.on('close', () => {
      const cut = out.lastIndexOf('\n')
      const text = out.slice(0, cut)
      let body
      try {
        body = JSON.parse(text)
      } catch {
        body = text
      }
      resolve({ status: Number(out.slice(cut + 1)), body, toString: () => `curl ${args.join(' ')}\n${out}\n${problem}` })
    })
  })
}

async function within(limit, check) {
  const until = Date.now() + limit
  for (;;) {
    try {
      return await check()
    } catch (error) {
      if (Date.now() > until) throw error
      await sleep(200)
    }
  }
}

function expect(answer, status, detail) {
  assert.equal(answer.status, status, answer.toString())
  if (detail !== undefined) assert.equal(answer.body.detail, detail, answer.toString())
  return answer.body
}

/** The endpoints of one server, on its own port. */
class Api {
  constructor(port) {
    this.base = `http://127.0.0.1:${port}/api/auth`
  }

  post(name, body, ...more) {
    return curl('-d', JSON.stringify(body), ...more, `${this.base}/${name}`)
  }

  me(token) {
    return curl('-H', `Authorization: Bearer ${token}`, `${this.base}/me`)
  }
}

/** A gateway behind which the other services are: it checks HS256 itself. */
function startGateway() {
  const server = http.createServer((request, response) => {
    const [header, claims, tag] = (request.headers.authorization ?? '').replace('Bearer ', '').split('.')
    const wanted = createHmac('sha256', SECRET).update(`${header}.${claims}`).digest('base64url')
    const read = tag === wanted ? JSON.parse(Buffer.from(claims, 'base64url')) : {}
    const good = read.type === 'access' && read.iss === 'daarion-auth' && request.url === '/api/internal/matrix/presence/online'
    response.writeHead(good ? 200 : 401, { 'content-type': 'application/json' })
    response.end(JSON.stringify({ ok: good, user: read.sub }))
  })
  return new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(server)))
}

const environment = (port, more = {}) => ({ AUTH_JWT_SECRET: SECRET, AUTH_PORT: String(port), ...more })

/** The smoke test of the contract, word for word. */
async function smoke(api, email, gateway) {
  const made = expect(await api.post('register', { email, password: 'correct horse', display_name: 'Ada' }), 201)
  const tokens = expect(await api.post('login', { email, password: 'correct horse' }), 200)
  assert.equal(tokens.token_type, 'Bearer')
  const me = expect(await api.me(tokens.access_token), 200)
  assert.equal(me.email, email)
  assert.equal(me.id, made.user_id)
  assert.equal(expect(await api.post('introspect', { token: tokens.access_token }), 200).active, true)
  const beat = await curl('-X', 'POST', '-H', `Authorization: Bearer ${tokens.access_token}`,
    `http://127.0.0.1:${gateway.address().port}/api/internal/matrix/presence/online`)
  assert.equal(expect(beat, 200).user, made.user_id)
  const next = expect(await api.post('refresh', { refresh_token: tokens.refresh_token }), 200)
  assert.notEqual(next.refresh_token, tokens.refresh_token)
  assert.deepEqual(expect(await api.post('logout', { refresh_token: next.refresh_token }), 200), { status: 'ok' })
  expect(await api.post('refresh', { refresh_token: next.refresh_token }), 401, 'Invalid or expired refresh token')
  assert.deepEqual(expect(await api.post('introspect', { token: tokens.access_token }), 200), { active: false })
  return made
}

describe('as the old service was', () => {
  let door, api, gateway, port

  before(async () => {
    gateway = await startGateway()
    port = await freePort()
    door = await startDoorward({ env: environment(port) })
    api = new Api(port)
  })
  after(async () => {
    await door?.stop()
    gateway?.close()
  })

  test('the smoke test of the contract with curl, which sends no JSON header', async () => {
    const made = await smoke(api, 'ada@example.org', gateway)
    assert.equal(made.matrix_status, 'disabled')
  })

  test('a refresh token is good once, for ten seconds again, and then ends the session', async () => {
    const credentials = { email: 'bea@example.org', password: 'correct horse' }
    expect(await api.post('register', credentials), 201)
    const tokens = expect(await api.post('login', credentials), 200)
    const shown = await Promise.all(Array.from({ length: 50 }, () => api.post('refresh', { refresh_token: tokens.refresh_token })))
    const pairs = new Set(shown.map((one) => expect(one, 200).refresh_token))
    assert.equal(pairs.size, 1, 'fifty at once make one generation')
    await sleep(11_000)
    expect(await api.post('refresh', { refresh_token: tokens.refresh_token }), 401, 'Refresh token reuse detected')
    const [current] = pairs
    expect(await api.post('refresh', { refresh_token: current }), 401, 'Invalid or expired refresh token')
  })

  test('health, unknown paths and wrong methods on its own port; the same endpoints on the ordinary one', async () => {
    const at = (where) => curl(`http://127.0.0.1:${where}`)
    assert.equal(expect(await at(`${port}/healthz`), 200).service, 'auth-service')
    expect(await at(`${port}/nothing`), 404, 'Not Found')
    expect(await at(`${port}/api/auth/login`), 405, 'Method Not Allowed')
    const main = new Api(door.port)
    expect(await main.post('login', { email: 'bea@example.org', password: 'wrong' }), 401, 'Invalid email or password')
    expect(await main.post('introspect', { token: 'x' }), 401, 'Not authenticated')
  })

  test('the start warns of two names that differ, without their values', async () => {
    const other = await startDoorward({ env: { ...environment(await freePort()), JWT_SECRET: 'another secret that is long enough' } })
    await other.stop()
    assert.match(other.log(), /AUTH_JWT_SECRET and env JWT_SECRET say different things/)
    assert.ok(!other.log().includes('another secret') && !other.log().includes(SECRET))
  })

  test('a secret that is too short does not start, unless debugging', async () => {
    const short = await startDoorward({ env: { AUTH_JWT_SECRET: 'short', AUTH_PORT: String(await freePort()) }, start: false })
    short.spawn()
    const ended = await short.child.ended
    assert.equal(ended.code, 2, short.log())
    assert.match(short.log(), /shorter than 32 bytes/)
    short.env.AUTH_DEBUG = 'true'
    await short.start()
    await short.stop()
  })

  test('the views have the people, on this engine', async () => {
    const made = await door.cli('token-api', 'views')
    assert.equal(made.state, 'there')
    if (engine === 'postgres') {
      const url = door.env.DOORWARD_DATABASE_URL
      const child = startChild('psql', ['-X', '-At', '-d', url, '-c', 'SELECT email FROM auth_users ORDER BY email'], {
        env: process.env, logFile: path.join(logFolder, 'views.log'),
      })
      await child.ended
      assert.match(fs.readFileSync(path.join(logFolder, 'views.log'), 'utf8'), /ada@example\.org/)
    }
  })
})

describe('without a database', { skip: engine !== 'postgres' && 'SQLite does not go away' }, () => {
  test('it stays up with 503 and never 500; db init makes the database', async () => {
    const database = databaseName()
    const port = await freePort()
    const door = await startDoorward({ env: environment(port), database: database.url, start: false })
    await door.start({ wait: false })
    const api = new Api(port)
    await within(10_000, async () => expect(await curl(`http://127.0.0.1:${port}/healthz`), 503))
    expect(await api.post('login', { email: 'a@example.org', password: 'x' }), 503, 'Service unavailable')
    expect(await api.post('register', { email: 'a@example.org', password: 'correct horse' }), 503, 'Service unavailable')
    const made = await door.cli('db', 'init')
    assert.equal(made.created, true)
    await door.ready()
    expect(await api.post('register', { email: 'a@example.org', password: 'correct horse' }), 201)
    assert.equal((await door.cli('db', 'init')).created, false)
    await door.stop()
  })
})

const python = findPython(['passlib', 'bcrypt'])

describe('taking over', { skip: !process.env.DOORWARD_TEST_POSTGRES ? 'the old service needs PostgreSQL' : !python && 'passlib is not installed' }, () => {
  test('people whose passwords passlib hashed sign in; every row is counted; sessions go on', async () => {
    const database = databaseName()
    postgres(`CREATE DATABASE ${database.name}`)
    const script = `
import uuid, sys
from passlib.context import CryptContext
two = CryptContext(schemes=["bcrypt"], bcrypt__ident="2b", bcrypt__rounds=6)
print(two.hash("correct horse"))
print(CryptContext(schemes=["bcrypt"], bcrypt__ident="2a", bcrypt__rounds=5).hash("correct horse"))
print(CryptContext(schemes=["bcrypt"], bcrypt__ident="2y", bcrypt__rounds=4).hash("correct horse"))
print(two.hash("x" * 100))
`
    const out = await python.run(script)
    const hashes = out.trim().split('\n')
    assert.equal(hashes.length, 4, out)
    const rows = hashes.map((hash, n) => `('${`0000000${n}-0000-4000-8000-000000000000`}', 'old${n}@example.org', '${hash}', 'Old ${n}', true, ${n === 0}, '{}', now(), now())`)
    const statements = [
      `CREATE TABLE auth_users(id uuid PRIMARY KEY, email text UNIQUE NOT NULL, password_hash text NOT NULL, display_name text,
        is_active boolean, is_admin boolean, meta jsonb, created_at timestamptz, updated_at timestamptz)`,
      'CREATE TABLE auth_user_roles(user_id uuid, role_id text, PRIMARY KEY (user_id, role_id))',
      `CREATE TABLE auth_sessions(id uuid PRIMARY KEY, user_id uuid, user_agent text, ip_address text, created_at timestamptz,
        expires_at timestamptz, revoked_at timestamptz, meta jsonb)`,
      `INSERT INTO auth_users VALUES ${rows.join(', ')}, ('00000009-0000-4000-8000-000000000000', 'no address', 'x', 'N', true, false, '{}', now(), now())`,
      "INSERT INTO auth_user_roles SELECT id, 'user' FROM auth_users",
      `INSERT INTO auth_sessions VALUES ('0000000a-0000-4000-8000-000000000000', '00000000-0000-4000-8000-000000000000', 'curl',
        '192.0.2.1', now(), now() + interval '1 day', null, '{}')`,
    ]
    const psql = startChild('psql', ['-X', '-v', 'ON_ERROR_STOP=1', '-d', database.url, '-c', statements.join(';\n')], {
      env: process.env, logFile: path.join(logFolder, 'old.log'),
    })
    assert.equal((await psql.ended).code, 0, fs.readFileSync(path.join(logFolder, 'old.log'), 'utf8'))

    const port = await freePort()
    const door = await startDoorward({ env: environment(port) })
    const dry = (await door.cli('import', 'auth-users', '--from', database.url, '--dry-run')).import
    assert.deepEqual(dry.users, { read: 5, imported: 4, present: 0, skipped: 1 })
    const report = (await door.cli('import', 'auth-users', '--from', database.url)).import
    assert.deepEqual(report.users, { read: 5, imported: 4, present: 0, skipped: 1 })
    assert.deepEqual(report.roles, { read: 5, imported: 4, present: 0, skipped: 1 })
    assert.deepEqual(report.sessions, { read: 1, imported: 1, present: 0, skipped: 0 })
    const again = (await door.cli('import', 'auth-users', '--from', database.url)).import
    assert.deepEqual(again.users, { read: 5, imported: 0, present: 4, skipped: 1 })

    const api = new Api(port)
    for (const n of [0, 1, 2]) {
      const tokens = expect(await api.post('login', { email: `OLD${n}@example.org`, password: 'correct horse' }), 200)
      assert.equal(tokens.user.is_admin, n === 0)
      expect(await api.post('login', { email: `old${n}@example.org`, password: 'correct horse!' }), 401)
    }
    // passlib cut at 72 bytes: so do we, for its hashes only.
    expect(await api.post('login', { email: 'old3@example.org', password: 'x'.repeat(72) }), 200)

    const now = Math.floor(Date.now() / 1000)
    const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url')
    const signed = `${part({ alg: 'HS256', typ: 'JWT' })}.${part({
      sub: '00000000-0000-4000-8000-000000000000', session_id: '0000000a-0000-4000-8000-000000000000', type: 'refresh',
      iss: 'daarion-auth', iat: now, exp: now + 3600 })}`
    const token = `${signed}.${createHmac('sha256', SECRET).update(signed).digest('base64url')}`
    expect(await api.post('refresh', { refresh_token: token }), 200)
    await door.stop()
  })
})

const synapsePython = findPython(['synapse'])

describe('Synapse', { skip: !synapsePython && 'matrix-synapse is not installed' }, () => {
  let synapse, door, api, gateway

  before(async () => {
    gateway = await startGateway()
    synapse = await startSynapse(synapsePython)
    const port = await freePort()
    door = await startDoorward({
      env: environment(port, { SYNAPSE_ADMIN_URL: synapse.url, SYNAPSE_REGISTRATION_SECRET: synapse.secret }),
    })
    api = new Api(port)
  })
  after(async () => {
    await door?.stop()
    await synapse?.stop()
    gateway?.close()
  })

  test('somebody who registers has an account there', async () => {
    const made = await smoke(api, 'ada@example.org', gateway)
    assert.equal(made.matrix_status, 'active', JSON.stringify(made))
    assert.equal(made.matrix_user_id, `@t_${made.user_id.replaceAll('-', '')}:${synapse.name}`)
    assert.ok(await synapse.has(made.matrix_user_id), 'Synapse knows the account')
  })

  test('while it is stopped a hundred people register; when it is back all of them have accounts', async () => {
    await synapse.stop()
    const made = await smoke(api, 'stopped@example.org', gateway)
    assert.equal(made.matrix_user_id, null)
    assert.equal(made.matrix_status, 'pending')
    const people = [made]
    for (let n = 1; n < PEOPLE; n += 1) {
      people.push(expect(await api.post('register', { email: `n${n}@example.org`, password: 'correct horse' }), 201))
    }
    assert.ok(people.every((one) => one.matrix_status === 'pending'))
    assert.equal(expect(await curl(`${api.base.replace('/api/auth', '')}/healthz`), 200).status, 'ok', 'Synapse is no reason to be unhealthy')
    const waiting = await door.cli('matrix', 'list', '--status', 'pending', '--limit', '1000')
    assert.equal(waiting.length, PEOPLE)
    await synapse.start()
    // Those who failed often wait for minutes by now; an operator need not.
    await door.cli('matrix', 'retry', '--all')
    await within(300_000, async () => {
      const list = await door.cli('matrix', 'list', '--status', 'pending', '--limit', '1000')
      assert.equal(list.length, 0, `${list.length} are still pending: ${list[0]?.last_error}`)
    })
    for (const one of people) {
      const name = `@t_${one.user_id.replaceAll('-', '')}:${synapse.name}`
      assert.ok(await synapse.has(name), name)
    }
    const tokens = expect(await api.post('login', { email: 'stopped@example.org', password: 'correct horse' }), 200)
    assert.equal(tokens.user.matrix_user_id, `@t_${made.user_id.replaceAll('-', '')}:${synapse.name}`)
  })

  test('by itself, without an operator, within one retry', async () => {
    await synapse.stop()
    const made = expect(await api.post('register', { email: 'alone@example.org', password: 'correct horse' }), 201)
    assert.equal(made.matrix_status, 'pending')
    await synapse.start()
    await within(60_000, async () => {
      assert.ok(await synapse.has(`@t_${made.user_id.replaceAll('-', '')}:${synapse.name}`))
      const list = await door.cli('matrix', 'list', '--status', 'active', '--limit', '1000')
      assert.ok(list.some((one) => one.user_id === made.user_id))
    })
  })

  test('switching somebody off deactivates the account', async () => {
    const token = await synapse.administrator()
    const port = await freePort()
    await door.stop()
    Object.assign(door.env, { SYNAPSE_ADMIN_TOKEN: token, AUTH_PORT: String(port) })
    await door.start()
    const at = new Api(port)
    const made = expect(await at.post('register', { email: 'leaver@example.org', password: 'correct horse' }), 201)
    assert.equal(made.matrix_status, 'active')
    await door.cli('user', 'deactivate', 'leaver@example.org', '--yes')
    await within(30_000, async () => assert.equal(await synapse.isDeactivated(made.matrix_user_id, token), true))
  })
})
