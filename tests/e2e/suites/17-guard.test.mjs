// The examples together: people sign in on the web app with the better-auth client, in Chromium; its session cookie goes to the
// notes API, which asks Doorward who it is; PostgreSQL shows each person their own notes.

import { spawnSync } from 'node:child_process'
import { after, before, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { openContext, signInHere, startChromium } from '../lib/chromium.mjs'
import { ALICE, startDoorward } from '../lib/doorward.mjs'
import { assert, expectStatus } from '../lib/expect.mjs'
import { guardedService, setUpNotes, startNotes, startWebApp } from '../lib/guarded.mjs'
import { send } from '../lib/http.mjs'

const appDoors = spawnSync(process.env.DOORWARD_BIN, ['app-auth', '--help']).status === 0
const missing =
  (!process.env.DOORWARD_TEST_POSTGRES && 'DOORWARD_TEST_POSTGRES is not set') ||
  (!guardedService() && 'the example is not built: cargo build -p doorward-guard --example guarded-service') ||
  (!appDoors && 'this Doorward has no doors for apps')
const PASSWORD = 'correct horse battery'
/** How long the guard keeps an answer, with room. */
const KEPT = 6000

describe('the examples', { skip: missing }, () => {
  let door, database, notes, web, browser

  before(async () => {
    door = await startDoorward()
    web = await startWebApp()
    database = setUpNotes()
    const back = ['', '/oauth2'].flatMap((way) => ['--redirect-uri', `${door.url}/api/auth${way}/callback/doorward`])
    const made = await door.addApplication('notes', '--client-id', 'notes-api', '--subject', 'uuid', '--allow-everyone', ...back)
    await door.run(['app-auth', 'set', 'notes', '--sign-up', 'yes', '--trusted-origin', web.url])
    const provider = ['app-auth', 'provider', 'notes', 'doorward', '--issuer', made.issuer, '--client-id', 'notes-api', '--client-secret-stdin']
    await door.run(provider, { input: `${made.client_secret}\n` })
    await door.addUser(ALICE, '--email-verified')
    notes = await startNotes(door, database, web.url)
    web.configure(door.url, notes.url)
    browser = await startChromium()
  })
  after(async () => {
    await browser?.close()
    await notes?.stop?.()
    await web?.close()
    await door?.stop()
    database?.drop()
  })

  const fresh = async () => {
    const { context } = await openContext(browser, door)
    const page = await context.newPage()
    await page.goto(web.url)
    return page
  }
  const says = (page, text) => page.locator('#message', { hasText: text }).waitFor()
  const signUp = async (page, name) => {
    await page.fill('#sign-up [name=name]', name)
    await page.fill('#sign-up [name=email]', `${name.toLowerCase()}@example.net`)
    await page.fill('#sign-up [name=password]', PASSWORD)
    await page.click('#sign-up button')
    await says(page, `Hello ${name}.`)
  }
  const write = async (page, text) => {
    await page.fill('#write [name=body]', text)
    await page.click('#write button')
    await page.locator('#notes li', { hasText: text }).waitFor()
  }
  const shown = (page) => page.locator('#notes li').allTextContents()
  const ask = (path, headers = {}, more = {}) => send(`${notes.url}${path}`, { headers, ...more })
  const token = async (email) => {
    const body = JSON.stringify({ email, password: PASSWORD })
    const answer = await send(`${door.url}/api/auth/sign-in/email`, { method: 'POST', headers: { 'content-type': 'application/json' }, body })
    return JSON.parse(expectStatus(answer, 200).text).token
  }

  test('two people in two browsers see their own notes and nobody else’s', async () => {
    const [first, second] = [await fresh(), await fresh()]
    await says(first, 'Nobody is signed in.')
    await signUp(first, 'Dora')
    await write(first, "Dora's; drop table notes --")
    await signUp(second, 'Emil')
    assert.deepEqual(await shown(second), [])
    await write(second, '<b>Emil</b>')
    await first.reload()
    await says(first, 'Hello Dora.')
    await first.locator('#notes li').first().waitFor()
    assert.deepEqual(await shown(first), ["Dora's; drop table notes --"])
    assert.deepEqual(await shown(second), ['<b>Emil</b>'])
    await first.click('#sign-out')
    await says(first, 'Nobody is signed in.')
  })

  test('signing in with Doorward’s own OpenID', async () => {
    const page = await fresh()
    await page.click('#openid')
    await page.waitForURL(/\/if\/flow\/sign-in\//)
    await signInHere(page, ALICE)
    await says(page, `Hello ${ALICE.name}.`)
    await write(page, 'by OpenID')
  })

  test('the session’s token as bearer: raw, and not a letter more', async () => {
    const mine = await token('dora@example.net')
    const answer = expectStatus(await ask('/whoami', { authorization: `Bearer ${mine}` }), 200)
    assert.equal(JSON.parse(answer.text).source, 'SessionToken')
    assert.equal(JSON.parse((await ask('/notes', { authorization: `Bearer ${mine}` })).text).length, 1)
    const wrong = expectStatus(await ask('/notes', { authorization: `Bearer ${mine}x` }), 401)
    assert.match(wrong.headers['www-authenticate'], /error="invalid_token"/)
    assert.equal(expectStatus(await ask('/notes'), 401).headers['www-authenticate'], 'Bearer')
    const ended = { method: 'POST', headers: { authorization: `Bearer ${mine}`, 'content-type': 'application/json' }, body: '{}' }
    expectStatus(await send(`${door.url}/api/auth/sign-out`, ended), 200)
    await sleep(KEPT)
    expectStatus(await ask('/notes', { authorization: `Bearer ${mine}` }), 401)
  })

  test('a cookie from another site changes nothing', async () => {
    const page = await fresh()
    await signUp(page, 'Fay')
    const cookie = (await page.context().cookies()).find((one) => one.name.endsWith('better-auth.session_token'))
    const pair = `${cookie.name}=${cookie.value}`
    const post = (origin) => ask('/notes', { cookie: pair, origin, 'content-type': 'application/json' }, { method: 'POST', body: '{"body":"x"}' })
    expectStatus(await post('https://evil.example'), 403)
    expectStatus(await post(web.url), 201)
    assert.equal(JSON.parse(expectStatus(await ask('/notes', { cookie: pair }), 200).text).length, 1)
  })

  test('Doorward away is 503 and never 401, and nobody has to sign in again', async () => {
    const mine = await token('emil@example.net')
    const again = () => ask('/notes', { authorization: `Bearer ${mine}` })
    expectStatus(await again(), 200)
    await door.kill()
    expectStatus(await again(), 200)
    await sleep(KEPT)
    const away = expectStatus(await again(), 503)
    const id = JSON.parse(away.text).error_id
    assert.ok(notes.log().includes(id), `the log has ${id}`)
    await door.start()
    await sleep(1500)
    assert.equal(JSON.parse(expectStatus(await again(), 200).text).length, 1)
  })

  test('the service does not start where the policies would not hold', async () => {
    const refused = await startNotes(door, { url: database.ownerUrl }, web.url)
    assert.equal(refused.ended?.code, 1)
    assert.match(refused.log(), /Row-level security does not hold/)
  })
})
