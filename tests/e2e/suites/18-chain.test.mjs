// The session chain of an app (contract section 10): sign-in at an OpenID provider, callback on another replica after a restart of
// both, the session's cookie, the guard, row-level security, sign-out. In pure HTTP and in Chromium, on PostgreSQL.

import fs from 'node:fs'
import path from 'node:path'
import { spawnSync } from 'node:child_process'
import { after, before, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { arrive, chromiumPath, consentHere, signInHere, startChromium } from '../lib/chromium.mjs'
import { ALICE, BOB, databaseName, postgres, startDoorward } from '../lib/doorward.mjs'
import { assert, expectStatus } from '../lib/expect.mjs'
import { startFront } from '../lib/front.mjs'
import { guardedService, setUpNotes, startNotes } from '../lib/guarded.mjs'
import { Jar, Visitor, send } from '../lib/http.mjs'
import { makeCertificate } from '../lib/proxies.mjs'

const certificate = process.env.DOORWARD_TEST_POSTGRES && makeCertificate()
const missing =
  (!process.env.DOORWARD_TEST_POSTGRES && 'DOORWARD_TEST_POSTGRES is not set') ||
  (!certificate && 'openssl is not installed') ||
  (!guardedService() && 'the example is not built: cargo build -p doorward-guard --example guarded-service')
const noBrowser = !chromiumPath() && 'Chromium is not installed'
/** How long the guard keeps an answer, with room. */
const KEPT = 6000
const SESSION = '__Secure-better-auth.session_token'
const STATE = '__Secure-better-auth.state'
/** People who have not consented yet. */
const CARL = { username: 'carl', email: 'carl@example.org', name: 'Carl Cedar', password: 'early-Canyon-61-marble' }
const DORA = { username: 'dora', email: 'dora@example.org', name: 'Dora Dune', password: 'civil-Garden-29-silver' }

describe('the session chain', { skip: missing }, () => {
  let provider, one, two, front, rows, notes, otherNotes, browser

  before(async () => {
    front = await startFront(certificate)
    const { name, url: database } = databaseName()
    postgres(`CREATE DATABASE ${name}`)
    const env = { DOORWARD_PUBLIC_URL: front.url('shop'), DOORWARD_TRUSTED_PROXIES: '127.0.0.1' }
    one = await startDoorward({ database, env })
    // Replicas share the key outside of the database and the public address.
    two = await startDoorward({ database, env, bootstrap: false, start: false })
    fs.copyFileSync(path.join(one.dataFolder, 'doorward.key'), path.join(two.dataFolder, 'doorward.key'))
    await two.start()
    front.use(one)

    provider = await startDoorward()
    for (const person of [ALICE, BOB, CARL, DORA]) await provider.addUser(person, '--email-verified')
    for (const [slug, host, more] of [
      ['shop', 'shop', []],
      ['api', 'api', ['--cookie-domain', 'example.test', '--trusted-origin', front.url('app')]],
    ]) {
      const back = ['', '/oauth2'].flatMap((way) => ['--redirect-uri', `${front.url(host)}/auth${way}/callback/authentik`])
      const client = await provider.addApplication(slug, '--allow-everyone', '--consent', 'explicit', ...back)
      await one.cli('application', 'create', slug, '--allow-everyone')
      await one.cli('app-auth', 'set', slug, '--base-url', `${front.url(host)}/auth`, '--no-alias', '--plugin', 'generic-oauth', ...more)
      const settings = ['--issuer', client.issuer, '--client-id', client.client_id, '--client-secret-stdin']
      await one.cli('app-auth', 'provider', slug, 'authentik', ...settings, { input: `${client.client_secret}\n` })
    }
    rows = setUpNotes()
    notes = await startNotes({ url: await front.inner('shop') }, rows, front.url('shop'), { NOTES_SESSIONS: '/auth' })
    otherNotes = await startNotes({ url: await front.inner('api') }, rows, front.url('app'), { NOTES_SESSIONS: '/auth' })
    front.notes(Number(new URL(notes.url).port))
    if (!noBrowser) browser = await startChromium(['--host-resolver-rules=MAP *.example.test 127.0.0.1', '--ignore-certificate-errors'])
    // The other replica has taken over what the command line changed at the first.
    front.use(two)
    for (const until = Date.now() + 5000; Date.now() < until; await sleep(50)) {
      if ((await send(`${front.url('api')}/auth/ok`)).status === 200) break
    }
    front.use(one)
  })
  after(async () => {
    await browser?.close()
    for (const service of [notes, otherNotes]) await service?.stop?.()
    for (const door of [one, two, provider]) await door?.stop()
    front?.close()
    rows?.drop()
  })

  /** Calls the door as the app's page would. */
  const call = (jar, at, json) => send(`${front.url('shop')}${at}`, { jar, json, headers: json && { origin: front.url('shop') } })
  const cookieOf = (answer, name) => (answer.headers['set-cookie'] ?? []).find((line) => line.startsWith(`${name}=`))

  /** Restarts both replicas; the first comes back first. */
  const restart = async () => {
    await Promise.all([one.kill(), two.kill()])
    await Promise.all([one.start(), two.start()])
  }

  /** Signs a person in through the provider, over all hops, with a restart in the middle. Returns the answer of the callback. */
  const enter = async (jar, person, { between = async () => {} } = {}) => {
    const begun = expectStatus(await call(jar, '/auth/sign-in/oauth2', { providerId: 'authentik', callbackURL: '/dashboard', errorCallbackURL: '/oops?kept=1' }), 200)
    assert.match(cookieOf(begun, STATE), /; Max-Age=300; Path=\/; HttpOnly; Secure; SameSite=Lax$/)
    const { url, redirect } = begun.json()
    assert.equal(redirect, true)
    assert.ok(url.startsWith(`${provider.url}/application/o/authorize/?`), url)
    const { left } = await new Visitor(provider.url).walk(url, person)
    assert.ok(left?.href.startsWith(`${front.url('shop')}/auth/oauth2/callback/authentik?`), `${left}`)
    await between()
    return send(left.href, { jar })
  }

  test('full_chain over HTTP: restart between authorize and callback, callback on the other replica', async () => {
    const jar = new Jar()
    expectStatus(await call(jar, '/auth/session'), 401)
    expectStatus(await call(jar, '/notes'), 401)
    front.use(one)
    const back = await enter(jar, ALICE, {
      between: async () => {
        await restart()
        front.use(two)
      },
    })
    expectStatus(back, 302)
    assert.equal(back.headers.location, '/dashboard')
    assert.match(cookieOf(back, STATE), /=; Max-Age=0; Path=\/; HttpOnly; Secure; SameSite=Lax$/)
    assert.match(cookieOf(back, SESSION), /; Max-Age=604800; Path=\/; HttpOnly; Secure; SameSite=Lax$/)
    // Every replica knows the session, under the alias and under its own name.
    for (const door of [one, two]) {
      front.use(door)
      const alias = expectStatus(await call(jar, '/auth/session'), 200).json()
      assert.deepEqual(Object.keys(alias).sort(), ['session', 'user'])
      assert.deepEqual([alias.user.email, alias.user.emailVerified], [ALICE.email, true])
      assert.equal(expectStatus(await call(jar, '/auth/get-session'), 200).json().user.id, alias.user.id)
    }
    // The database sees who it is: own rows and no others, and none at all without anybody.
    expectStatus(await call(jar, '/notes', { body: 'of alice' }), 201)
    assert.deepEqual(expectStatus(await call(jar, '/notes'), 200).json().map((note) => note.body), ['of alice'])
    const other = new Jar()
    expectStatus(await enter(other, BOB), 302)
    assert.deepEqual(expectStatus(await call(other, '/notes'), 200).json(), [])
    expectStatus(await call(other, '/notes', { body: 'of bob' }), 201)
    assert.deepEqual(expectStatus(await call(jar, '/notes'), 200).json().map((note) => note.body), ['of alice'])
    const counted = spawnSync('psql', ['-X', '-At', '-d', rows.url, '-c', 'select count(*) from notes'], { encoding: 'utf8' })
    assert.equal(counted.stdout.trim(), '0', counted.stderr)
    // The code and the state are spent: the same callback once more signs nobody in.
    const again = await send(back.url, { jar: new Jar() })
    assert.equal(cookieOf(again, SESSION), undefined)
    // Signed out at one replica is signed out at both and at the guard, also for who kept the cookie.
    const kept = jar.clone()
    expectStatus(await call(jar, '/auth/sign-out', {}), 200)
    for (const door of [one, two]) {
      front.use(door)
      const until = Date.now() + 3000
      let answer
      do answer = await call(kept, '/auth/session')
      while (answer.status !== 401 && Date.now() < until && (await sleep(50, true)))
      const refused = { message: 'Invalid or expired session', error: 'Unauthorized', statusCode: 401 }
      assert.deepEqual(expectStatus(answer, 401).json(), refused)
      assert.equal((await call(kept, '/auth/get-session')).text, 'null')
    }
    await sleep(KEPT)
    expectStatus(await call(kept, '/notes'), 401)
    expectStatus(await call(other, '/notes'), 200)
    // Who was signed in before a restart is signed in after it.
    await restart()
    expectStatus(await call(other, '/auth/session'), 200)
  })

  test('a callback in another browser signs nobody in, and uses nothing up', async () => {
    const jar = new Jar()
    const victim = new Jar()
    const begun = (await call(jar, '/auth/sign-in/oauth2', { providerId: 'authentik', callbackURL: '/dashboard', errorCallbackURL: '/oops?kept=1' })).json()
    const { left } = await new Visitor(provider.url).walk(begun.url, ALICE)
    const elsewhere = await send(left.href, { jar: victim })
    assert.equal(elsewhere.headers.location, '/oops?kept=1&error=state_mismatch')
    assert.deepEqual(victim.all(), [])
    assert.equal((await send(left.href, { jar })).headers.location, '/dashboard')
  })

  const fresh = async () => {
    const context = await browser.newContext({ ignoreHTTPSErrors: true })
    context.setDefaultTimeout(15_000)
    return context.newPage()
  }
  const says = (page, text) => page.locator('#who', { hasText: text }).waitFor()

  test('full_chain in Chromium: restart between authorize and callback, callback on the other replica', { skip: noBrowser }, async () => {
    front.use(one)
    const page = await fresh()
    await page.goto(front.url('shop'))
    await says(page, '401 401 nobody')
    await page.click('#in')
    await signInHere(page, CARL)
    await page.locator('button[name=decision]').first().waitFor()
    await restart()
    front.use(two)
    const callback = page.waitForResponse((answer) => answer.url().includes('/auth/oauth2/callback/authentik'))
    await consentHere(page)
    const answered = await callback
    assert.equal(answered.status(), 302)
    await arrive(page, `${front.url('shop')}/dashboard`)
    await says(page, `200 200 ${CARL.name}`)
    const cookies = await page.context().cookies()
    const session = cookies.find((cookie) => cookie.name === SESSION)
    assert.deepEqual([session.httpOnly, session.secure, session.sameSite, session.path], [true, true, 'Lax', '/'])
    assert.ok(Math.abs(session.expires - Date.now() / 1000 - 604_800) < 120, `${session.expires}`)
    assert.equal(cookies.find((cookie) => cookie.name === STATE), undefined)
    await page.click('#write')
    await page.locator('#notes li', { hasText: 'written in the browser' }).waitFor()
    const other = await fresh()
    await other.goto(front.url('shop'))
    await says(other, '401 401 nobody')
    assert.equal(await other.locator('#notes li').count(), 0)
    front.use(one)
    await page.click('#out')
    await says(page, '401')
    await sleep(KEPT)
    await page.reload()
    await says(page, '401 401 nobody')
  })

  test('ui_build_mismatch: an open page offers to load again once the server is another build', { skip: noBrowser }, async () => {
    const page = await fresh()
    await page.goto(`${provider.url}/if/flow/sign-in/`)
    const look = () => page.evaluate(() => document.dispatchEvent(new Event('visibilitychange')))
    const asked = page.waitForResponse((answer) => answer.url().endsWith('/version'))
    await look()
    assert.equal((await asked).headers()['x-doorward-version'], await page.getAttribute('meta[name=doorward-build]', 'content'))
    assert.equal(await page.locator('#newer-build').count(), 0, 'the same build')
    await page.route('**/version', (route) => route.fulfill({ status: 200, headers: { 'x-doorward-version': '9.9.9+other' } }))
    await page.reload()
    await look()
    await page.locator('#newer-build a').waitFor()
    await page.unroute('**/version')
    await page.locator('#newer-build a').click()
    await page.locator('#newer-build').waitFor({ state: 'detached' })
  })

  test('cross_host_cookie: page and API on sibling hosts share the cookie, others never see it', { skip: noBrowser }, async () => {
    front.notes(Number(new URL(otherNotes.url).port))
    front.use(one)
    const page = await fresh()
    await page.goto(front.url('app'))
    await says(page, '401 401 nobody')
    await page.click('#in')
    await signInHere(page, BOB)
    await consentHere(page)
    await arrive(page, `${front.url('app')}/dashboard`)
    await says(page, `200 200 ${BOB.name}`)
    const session = (await page.context().cookies()).find((cookie) => cookie.name === SESSION)
    assert.equal(session.domain, '.example.test')
    await page.click('#write')
    await page.locator('#notes li', { hasText: 'written in the browser' }).waitFor()
    const carried = (name, pathname) => front.seen.filter((one) => one.name === name && one.pathname === pathname).at(-1).cookies
    assert.ok(carried('api', '/auth/session').includes(SESSION), 'the door')
    assert.ok(carried('api', '/notes').includes(SESSION), 'the service')
    // The door of the host without a shared domain keeps its cookie to itself.
    const alone = await fresh()
    await alone.goto(front.url('shop'))
    await alone.click('#in')
    await signInHere(alone, DORA)
    await consentHere(alone)
    await arrive(alone, `${front.url('shop')}/dashboard`)
    const kept = (await alone.context().cookies()).find((cookie) => cookie.name === SESSION)
    assert.equal(kept.domain, 'shop.example.test')
    await alone.goto(front.url('app'))
    await says(alone, '401 401 nobody')
    assert.ok(!carried('api', '/auth/session').includes(SESSION), 'the cookie of the shop stays at the shop')
    // A page that the door does not trust reads nothing and changes nothing.
    await page.goto(front.url('evil'))
    const told = await page.evaluate(async (api) => {
      const read = await fetch(`${api}/auth/session`, { credentials: 'include' }).then((answer) => answer.status, () => 'not readable')
      await fetch(`${api}/auth/sign-out`, { method: 'POST', credentials: 'include', mode: 'no-cors', body: '{}' }).catch(() => {})
      return read
    }, front.url('api'))
    assert.equal(told, 'not readable')
    await page.goto(front.url('app'))
    await says(page, `200 200 ${BOB.name}`)
  })
})
