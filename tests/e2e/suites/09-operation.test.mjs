// Starting, stopping, watching: what an operator sees.

import fs from 'node:fs'
import net from 'node:net'
import path from 'node:path'
import { after, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { openContext, signInHere, startChromium, textOf } from '../lib/chromium.mjs'
import { ADMIN, ALICE, databaseName, engine, postgres, startDoorward } from '../lib/doorward.mjs'
import { assert, expectStatus } from '../lib/expect.mjs'
import { Visitor, formsOf, send } from '../lib/http.mjs'

/** Tests that need PostgreSQL: they run in that half, and say that they were skipped when there is no such half. */
const onPostgres = (name, run) => {
  if (engine === 'postgres') test(name, run)
  else if (!process.env.DOORWARD_TEST_POSTGRES) test(name, { skip: 'needs PostgreSQL (DOORWARD_TEST_POSTGRES)' }, run)
}
const SETUP = /http:\/\/localhost:\d+\/setup\/[\w.~-]+/
let browser
after(() => browser?.close())

async function server(t, options) {
  const door = await startDoorward(options)
  t.after(() => door.stop())
  return door
}

async function eventually(check, limit = 15_000) {
  const until = Date.now() + limit
  for (;;) {
    try {
      return await check()
    } catch (error) {
      if (Date.now() > until) throw error
      await sleep(100)
    }
  }
}

/** The set-up links in the log from a position on; waits until there are `count`. */
const setupLinks = (door, count, from = 0) =>
  eventually(() => {
    const links = door.log().slice(from).match(new RegExp(SETUP, 'g')) ?? []
    assert.ok(links.length >= count, `expected a set-up link in the log, got:\n${door.log()}`)
    return links
  })

test('live, ready, version and metrics', async (t) => {
  const door = await server(t)
  expectStatus(await send(`${door.url}/-/health/live/`), 200)
  expectStatus(await send(`${door.url}/-/health/ready/`), 200)
  const version = expectStatus(await send(`${door.url}/version`), 200)
  const body = version.json()
  assert.match(body.version ?? '', /^\d+\.\d+\.\d+/, version.toString())
  assert.ok('commit' in body && 'schema' in body, `version, commit, schema, build time: ${version}`)
  assert.ok(Object.keys(body).some((key) => /built|build/.test(key)), version.toString())
  await new Visitor(door.url).signIn(ADMIN)
  const metrics = expectStatus(await send(`${door.url}/-/metrics`), 200)
  assert.match(metrics.headers['content-type'], /text\/plain|application\/openmetrics-text/)
  assert.match(metrics.text, /^# TYPE \w+ (counter|gauge|histogram)/m, metrics.toString())
  for (const line of metrics.text.trim().split('\n')) {
    assert.match(line, /^(#.*|[a-zA-Z_:][\w:]*(\{.*\})? \S+( \d+)?)$/, `not Prometheus text: ${line}`)
  }
  for (const word of ['request', 'hash', 'decision']) assert.match(metrics.text, new RegExp(`^\\w*${word}\\w*(\\{| )`, 'm'), `a metric about ${word}\n${metrics.text.slice(0, 3000)}`)
  assert.ok(!metrics.text.includes('admin@example.org'), 'no personal data in metrics')
})

test('the set-up link: printed once, works once, makes the first administrator', async (t) => {
  const door = await server(t, { bootstrap: false })
  const [link] = await setupLinks(door, 1)
  browser ??= await startChromium()
  const { context, problems } = await openContext(browser, door)
  t.after(() => context.close())
  const page = await context.newPage()
  await page.goto(link)
  await page.fill('input[name=username]', ADMIN.username)
  await page.fill('input[name=name]', 'The Administrator')
  await page.fill('input[name=email]', ADMIN.email)
  for (const field of await page.locator('input[type=password]').all()) await field.fill(ADMIN.password)
  await page.locator('form', { has: page.locator('input[name=password]') }).locator('button:not([type=button])').first().click()
  await page.waitForLoadState()
  await page.goto(`${door.url}/if/user/`)
  if (await page.locator('input[name=password]').count()) await signInHere(page, ADMIN)
  await page.waitForLoadState()
  assert.equal(await page.locator('input[name=password]').count(), 0, `signed in, got: ${page.url()}\n${await textOf(page)}`)
  assert.deepEqual(problems, [])

  for (const used of [link, `${door.url}/if/flow/initial-setup/`]) {
    const { page: again, left } = await new Visitor(door.url).open(used)
    assert.ok(!left)
    assert.ok(again.status >= 400, `the link is used up\n${again}`)
    assert.ok(!formsOf(again.text).some((form) => 'password' in form.fields && 'email' in form.fields), again.toString())
  }

  const before = door.log().length
  await door.stop()
  await door.start()
  await sleep(500)
  assert.ok(!SETUP.test(door.log().slice(before)), 'a second start prints no set-up link')
})

test('the set-up link survives a restart until it is used, and a wrong token gets nothing', async (t) => {
  const door = await server(t, { bootstrap: false })
  const [token] = await setupLinks(door, 1)
  const { page: wrong } = await new Visitor(door.url).open(token.replace(/\/setup\/.*/, '/setup/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA'))
  assert.ok(wrong.status >= 400 && wrong.status < 500, wrong.toString())
  const before = door.log().length
  await door.stop()
  await door.start()
  const all = await setupLinks(door, 1, before)
  const { page } = await new Visitor(door.url).open(all.at(-1))
  assert.ok(formsOf(page.text).some((form) => 'password' in form.fields), `the link of the second start works\n${page}`)
})

test('bootstrap variables make the administrator on an empty database and are ignored with a line afterwards', async (t) => {
  const door = await server(t)
  assert.ok(!SETUP.test(door.log()), 'no set-up link with a bootstrap administrator')
  const page = await new Visitor(door.url).signIn(ADMIN)
  expectStatus(page, 200)
  await door.stop()
  const before = door.log().length
  door.env.DOORWARD_BOOTSTRAP_PASSWORD = 'another-Password-19-entirely'
  await door.start()
  const log = await eventually(() => {
    const lines = door.log().slice(before)
    assert.match(lines, /DOORWARD_BOOTSTRAP.*ignored/i, `a line says that they are ignored:\n${lines}`)
    return lines
  })
  assert.ok(!log.includes('another-Password-19-entirely'), 'passwords are not logged')
  const old = await new Visitor(door.url).signIn(ADMIN)
  assert.ok(!formsOf(old.text).some((form) => 'password' in form.fields), `the first password is still right\n${old}`)
})

test('recover prints a one-time link for a lost administrator', async (t) => {
  const door = await server(t)
  const result = await door.run(['recover', ADMIN.username])
  assert.equal(result.status, 0, `doorward recover: ${result.stdout}\n${result.stderr}`)
  const link = result.stdout.match(/http:\/\/localhost:\d+\/\S+/)?.[0]
  assert.ok(link, `expected a link, got: ${result.stdout}`)
  const visitor = new Visitor(door.url)
  const { page } = await visitor.open(link)
  expectStatus(page, 200)
  const form = formsOf(page.text).find((one) => Object.keys(one.fields).some((name) => /password/.test(name)))
  assert.ok(form, `expected a form for a new password\n${page}`)
  const changed = 'found-Again-73-lantern'
  const values = Object.fromEntries(Object.keys(form.fields).filter((name) => /password/.test(name)).map((name) => [name, changed]))
  expectStatus((await visitor.submit(page, form, values)).page, 200)
  const again = (await new Visitor(door.url).open(link)).page
  assert.ok(again.status >= 400, `the link works once\n${again}`)
  const signedIn = (person) => new Visitor(door.url).signIn(person).then((one) => !formsOf(one.text).some((entry) => 'password' in entry.fields))
  assert.equal(await signedIn(ADMIN), false, 'the old password is no good')
  assert.equal(await signedIn({ ...ADMIN, password: changed }), true, 'the new one is')
})

test('doctor finds nothing wrong with a new installation', async (t) => {
  const door = await server(t)
  const result = await door.run(['doctor', '--json'])
  assert.equal(result.status, 0, `${result.stdout}\n${result.stderr}`)
})

test('SIGTERM ends the server in under 2 s, with idle connections open and a request under way', async (t) => {
  const door = await server(t)
  const idle = net.connect(door.port, '127.0.0.1')
  idle.on('error', () => {})
  const slow = net.connect(door.port, '127.0.0.1')
  slow.on('error', () => {})
  slow.write('POST /application/o/token/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\nContent-Type: application/x-www-form-urlencoded\r\n\r\ngrant')
  await send(`${door.url}/-/health/live/`)
  await sleep(200)
  const ended = await door.stop()
  idle.destroy()
  slow.destroy()
  assert.equal(ended.code, 0, `SIGTERM is a clean end, got: ${JSON.stringify(ended)}`)
  assert.ok(ended.milliseconds < 2000, `took ${ended.milliseconds} ms`)
})

test('a port that is taken is one clear line and a non-zero exit', async (t) => {
  const door = await server(t)
  const second = await startDoorward({ start: false })
  second.env.DOORWARD_LISTEN = `127.0.0.1:${door.port}`
  second.spawn()
  const ended = await Promise.race([second.child.ended, sleep(15_000).then(() => undefined)])
  second.child = undefined
  assert.ok(ended && ended.code !== 0, `expected an end, got: ${JSON.stringify(ended)}`)
  assert.match(second.log(), new RegExp(`${door.port}`), second.log())
  assert.doesNotMatch(second.log(), /panicked/)
})

test('an unknown setting is refused with its line and the nearest name', async (t) => {
  const door = await startDoorward({ start: false })
  const file = path.join(door.dataFolder, 'doorward.toml')
  fs.writeFileSync(file, `# settings\npublik_url = "http://localhost:9000"\n`)
  const result = await door.run(['config', 'check', '--config', file])
  const said = result.stdout + result.stderr
  assert.notEqual(result.status, 0, said)
  assert.match(said, /publik_url/, said)
  assert.match(said, /public_url/, `names the nearest: ${said}`)
  assert.match(said, /(line |:)2/, `names the line: ${said}`)
})

test('config show tells the settings and no secret', async () => {
  const door = await startDoorward({ start: false })
  const result = await door.run(['config', 'show'])
  assert.equal(result.status, 0, result.stderr)
  assert.ok(result.stdout.includes(door.url), result.stdout)
  assert.ok(!result.stdout.includes(ADMIN.password), 'no password')
  if (door.env.DOORWARD_DATABASE_URL) {
    const { password } = new URL(door.env.DOORWARD_DATABASE_URL)
    if (password) assert.ok(!result.stdout.includes(`:${password}@`), 'no database password')
  }
})

test('secrets from files: DOORWARD_BOOTSTRAP_PASSWORD_FILE', async (t) => {
  const door = await startDoorward({ start: false })
  t.after(() => door.stop())
  const file = path.join(door.dataFolder, 'password')
  fs.writeFileSync(file, `${ADMIN.password}\n`)
  delete door.env.DOORWARD_BOOTSTRAP_PASSWORD
  door.env.DOORWARD_BOOTSTRAP_PASSWORD_FILE = file
  await door.start()
  const page = await new Visitor(door.url).signIn(ADMIN)
  assert.ok(!formsOf(page.text).some((form) => 'password' in form.fields), page.toString())
})

test('the log has one line per request and no secret', async (t) => {
  const door = await server(t)
  await new Visitor(door.url).signIn(ADMIN)
  const before = door.log().length
  await send(`${door.url}/version?canary=1`)
  await eventually(() => assert.equal((door.log().slice(before).match(/\/version/g) ?? []).length, 1, door.log().slice(before)))
  assert.ok(!door.log().includes(ADMIN.password), 'no password in the log')
})

test('the command line: --help everywhere, wrong use exits 2, errors name the field', async () => {
  const door = await startDoorward({ start: false })
  for (const args of [['--help'], ['serve', '--help'], ['user', '--help'], ['user', 'create', '--help'], ['application', 'create', '--help']]) {
    const result = await door.run(args)
    assert.equal(result.status, 0, `${args.join(' ')}: ${result.stderr}`)
    assert.match(result.stdout, /usage/i)
  }
  const wrong = await door.run(['user', 'create', '--no-such-flag'])
  assert.equal(wrong.status, 2, wrong.stderr)
  const bad = await door.run(['user', 'create', 'eve', '--email', 'not-an-address', '--password-stdin', '--json'], { input: 'some-Password-77-long\n' })
  assert.notEqual(bad.status, 0)
  assert.match(bad.stdout + bad.stderr, /email/i, bad.stdout + bad.stderr)
})

onPostgres('a missing PostgreSQL database: one clear line, 503 on readiness, alive, and ready once it appears', async (t) => {
  const { name, url } = databaseName()
  const door = await startDoorward({ database: url, start: false })
  t.after(() => door.stop())
  door.spawn()
  await eventually(async () => expectStatus(await send(`${door.url}/-/health/live/`), 200))
  expectStatus(await send(`${door.url}/-/health/ready/`), 503)
  const lines = await eventually(() => {
    const found = door.log().split('\n').filter((line) => line.includes(name))
    assert.ok(found.length > 0, `a line names the missing database:\n${door.log()}`)
    return found
  })
  assert.match(lines[0], /does not exist|missing|createdb|create/i, lines[0])
  const { page } = await new Visitor(door.url).open('/if/user/')
  expectStatus(page, 503)
  assert.ok(page.headers['retry-after'], page.toString())
  postgres(`CREATE DATABASE ${name}`)
  await door.ready(30_000)
  assert.ok(!formsOf((await new Visitor(door.url).signIn(ADMIN)).text).some((form) => 'password' in form.fields))
})

onPostgres('a wrong PostgreSQL password: one clear line without the password, 503 on readiness, alive', async (t) => {
  const { name, url } = databaseName()
  postgres(`CREATE DATABASE ${name}`)
  const wrong = new URL(url)
  wrong.password = 'certainly-wrong-password'
  try {
    const { spawnSync } = await import('node:child_process')
    const probe = spawnSync('psql', ['-X', '-d', wrong.href, '-c', 'select 1'], { encoding: 'utf8' })
    if (probe.status === 0) return t.skip('this PostgreSQL accepts any password')
  } catch {
    // psql tells below.
  }
  const door = await startDoorward({ database: wrong.href, start: false })
  t.after(() => door.stop())
  door.spawn()
  await eventually(async () => expectStatus(await send(`${door.url}/-/health/live/`), 200))
  expectStatus(await send(`${door.url}/-/health/ready/`), 503)
  await eventually(() => assert.match(door.log(), /password/i, door.log()))
  assert.ok(!door.log().includes('certainly-wrong-password'), 'the password is not in the log')
  await sleep(3000)
  assert.ok(door.child.exitCode === null, 'the process stays up')
  assert.ok(door.log().length < 8000, `a few lines, not a flood:\n${door.log().slice(0, 4000)}`)
})

onPostgres('a broken connection to PostgreSQL heals by itself', async (t) => {
  const door = await server(t)
  const name = new URL(door.env.DOORWARD_DATABASE_URL).pathname.slice(1)
  postgres(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '${name}'`)
  await eventually(async () => {
    const page = await new Visitor(door.url).signIn(ADMIN)
    assert.ok(page.status === 200 && !formsOf(page.text).some((form) => 'password' in form.fields), page.toString())
  })
})

onPostgres('two starts on one new database do not hurt each other', async (t) => {
  const { name, url } = databaseName()
  postgres(`CREATE DATABASE ${name}`)
  const shared = { database: url, start: false }
  const [one, two] = [await startDoorward(shared), await startDoorward(shared)]
  // Both need the same key outside of the database.
  two.env.DOORWARD_DATA_DIR = one.env.DOORWARD_DATA_DIR
  t.after(() => Promise.all([one.stop(), two.stop()]))
  await Promise.all([one.start(), two.start()])
  await one.addUser(ALICE)
  for (const door of [one, two]) {
    await eventually(async () => {
      const page = await new Visitor(door.url).signIn(ALICE)
      assert.ok(page.status === 200 && !formsOf(page.text).some((form) => 'password' in form.fields), page.toString())
    })
  }
  assert.equal(postgres(`SELECT 1`), '1')
})
