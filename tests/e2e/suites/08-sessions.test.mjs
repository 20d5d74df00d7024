// Sessions, tabs and guesses at passwords.

import { after, before, test } from 'node:test'
import { arrive, openContext, pressNamed, signInHere, startChromium } from '../lib/chromium.mjs'
import { ALICE, BOB, startDoorward } from '../lib/doorward.mjs'
import { assert, expectReturned, expectStatus } from '../lib/expect.mjs'
import { Visitor, formsOf, send } from '../lib/http.mjs'
import { HandClient, pkce } from '../lib/oauth.mjs'
import { startRelyingParty } from '../lib/rp.mjs'

let door, rp, browser, party

before(async () => {
  door = await startDoorward({ env: { DOORWARD_TRUSTED_PROXIES: '127.0.0.0/8' } })
  rp = await startRelyingParty()
  browser = await startChromium()
  await door.addPeople()
  const app = await door.addApplication('tabbed', '--confidential', '--redirect-uri', rp.url('/callback'), '--allow-group', 'staff', '--allow-user', 'bob')
  party = new HandClient(door, app, rp.url('/callback'))
})
after(async () => {
  await browser?.close()
  await rp?.close()
  await door?.stop()
})

const from = (address) => ({ headers: { 'x-forwarded-for': address, 'x-forwarded-proto': 'http' } })
const isSlowed = (page) => [429, 503].includes(page.status) || /\bwait\b|too many|try again (in|after)/i.test(page.text)
const isSignIn = (page) => formsOf(page.text).some((form) => 'password' in form.fields)

test('two tabs that sign in side by side both arrive, each with its own state', async (t) => {
  const { context, problems } = await openContext(browser, door)
  t.after(() => context.close())
  const [one, two] = [await context.newPage(), await context.newPage()]
  const first = pkce()
  const second = pkce()
  await one.goto(party.authorizeUrl({ state: 'tab-one' }, first))
  await two.goto(party.authorizeUrl({ state: 'tab-two' }, second))
  await signInHere(one, ALICE)
  const backOne = await arrive(one, rp.url('/callback'))
  await signInHere(two, ALICE)
  const backTwo = await arrive(two, rp.url('/callback'))
  assert.equal(backOne.searchParams.get('state'), 'tab-one')
  assert.equal(backTwo.searchParams.get('state'), 'tab-two')
  expectStatus(await party.redeem(backOne.searchParams.get('code'), first.verifier), 200)
  expectStatus(await party.redeem(backTwo.searchParams.get('code'), second.verifier), 200)
  assert.deepEqual(problems, [])
})

test('the back button after signing in, and a form sent twice, do no harm', async (t) => {
  const { context, problems } = await openContext(browser, door)
  t.after(() => context.close())
  const page = await context.newPage()
  await page.goto(party.authorizeUrl({ state: 'forth' }, pkce()))
  await signInHere(page, ALICE)
  await arrive(page, rp.url('/callback'))
  await page.goBack({ waitUntil: 'commit' }).catch(() => {})
  if (page.url().startsWith(door.url) && (await page.locator('input[name=password]').count())) {
    await signInHere(page, ALICE)
    await arrive(page, rp.url('/callback'))
  }
  assert.deepEqual(problems, [])
})

test('sign-out ends this session only; sign out everywhere ends the other browsers at once', async (t) => {
  const contexts = await Promise.all([1, 2, 3].map(() => openContext(browser, door)))
  t.after(() => Promise.all(contexts.map(({ context }) => context.close())))
  const pages = await Promise.all(contexts.map(({ context }) => context.newPage()))
  for (const page of pages) {
    await page.goto(`${door.url}/if/user/`)
    await signInHere(page, ALICE)
    await page.waitForLoadState()
    assert.equal(await page.locator('input[name=password]').count(), 0, page.url())
  }
  const signedIn = async (page) => {
    await page.goto(`${door.url}/if/user/`)
    return (await page.locator('input[name=password]').count()) === 0
  }
  await pressNamed(pages[0], /^sign out$/i)
  await pages[0].waitForLoadState()
  assert.equal(await signedIn(pages[0]), false)
  assert.equal(await signedIn(pages[1]), true)
  await pages[1].goto(`${door.url}/if/user/sessions/`)
  await pages[1].locator('summary').filter({ hasText: /sign out everywhere/i }).click()
  await pages[1].locator('form', { has: pages[1].locator('input[name=session][value=all]') }).getByRole('button').click()
  await pages[1].waitForLoadState()
  assert.equal(await signedIn(pages[2]), false, 'the other browser is out at once')
  for (const { problems } of contexts) assert.deepEqual(problems, [])
})

test('one session of several ends by its own button', async (t) => {
  const other = new Visitor(door.url)
  await other.signIn(BOB)
  const { context, problems } = await openContext(browser, door)
  t.after(() => context.close())
  const page = await context.newPage()
  await page.goto(`${door.url}/if/user/`)
  await signInHere(page, BOB)
  await page.waitForLoadState()
  await page.goto(`${door.url}/if/user/sessions/`)
  const rows = page.locator('tbody tr')
  const before = await rows.count()
  assert.ok(before >= 2, `bob sees both of his sessions, got ${before}`)
  for (let index = 0; index < before; index += 1) {
    if (/this one/i.test(await rows.nth(index).innerText())) continue
    await rows.nth(index).getByRole('button').click()
    break
  }
  await page.waitForLoadState()
  assert.equal(await page.locator('tbody tr').count(), before - 1)
  assert.deepEqual(problems, [])
})

test('a changed password ends the other sessions and the old password', async (t) => {
  const gil = { username: 'gil', email: 'gil@example.org', name: 'Gil', password: 'first-Window-61-amber' }
  await door.addUser(gil)
  const other = new Visitor(door.url)
  await other.signIn(gil)
  const { context, problems } = await openContext(browser, door)
  t.after(() => context.close())
  const page = await context.newPage()
  await page.goto(`${door.url}/if/user/password/`)
  await signInHere(page, gil)
  await page.waitForURL(/password/)
  const fields = await page.locator('input[type=password]').all()
  const changed = 'second-Window-62-amber'
  await fields[0].fill(gil.password)
  for (const field of fields.slice(1)) await field.fill(changed)
  await page.locator('form', { has: page.locator('input[type=password]') }).locator('button[type=submit]').click()
  await page.waitForLoadState()
  await page.goto(`${door.url}/if/user/`)
  assert.equal(await page.locator('input[name=password]').count(), 0, 'this browser stays signed in')
  assert.ok(isSignIn((await other.open('/if/user/')).page), 'the other browser is out')
  assert.ok(isSignIn(await new Visitor(door.url).signIn(gil)), 'the old password is no good')
  assert.ok(!isSignIn(await new Visitor(door.url).signIn({ ...gil, password: changed })))
  assert.deepEqual(problems, [])
})

test('a session cookie from before the sign-in does not become the session (fixation)', async () => {
  const victim = new Visitor(door.url)
  await victim.open('/if/user/')
  const before = victim.jar.clone()
  await victim.signIn(ALICE)
  const attacker = new Visitor(door.url, { jar: before })
  const { page } = await attacker.open('/if/user/')
  assert.ok(isSignIn(page), `the old cookies are not signed in\n${page}`)
})

test('a signed-out cookie is worthless', async () => {
  const visitor = new Visitor(door.url)
  await visitor.signIn(ALICE)
  const kept = visitor.jar.clone()
  const portal = (await visitor.open('/if/user/')).page
  const signOut = formsOf(portal.text).find((form) => /sign out/i.test(form.text) && !/everywhere/i.test(form.text))
  assert.ok(signOut, `expected a sign-out form\n${portal}`)
  const left = await visitor.submit(portal, signOut)
  const confirm = formsOf(left.page.text).find((form) => /sign out/i.test(form.text))
  if (confirm) await visitor.submit(left.page, confirm)
  const thief = new Visitor(door.url, { jar: kept })
  assert.ok(isSignIn((await thief.open('/if/user/')).page))
  expectReturned(await thief.open(party.authorizeUrl({ prompt: 'none' }, pkce())), rp.url('/callback'), 'login_required')
})

test('malformed cookies are as none: no 500', async () => {
  const visitor = new Visitor(door.url)
  await visitor.signIn(ALICE)
  for (const { name } of visitor.jar.all()) {
    for (const value of ['', 'x', '%00', 'a'.repeat(6000), '"quoted"', '..', 'ÿþ']) {
      const answer = await send(`${door.url}/if/user/`, { headers: { cookie: `${name}=${encodeURI(value)}`, accept: 'text/html' } })
      assert.ok(answer.status < 500, `cookie ${name}=${value.slice(0, 20)}\n${answer}`)
    }
  }
})

test('30 wrong passwords for alice stop neither bob nor alice in a browser that signed in before', async () => {
  const known = new Visitor(door.url, from('198.51.100.7'))
  await known.signIn(ALICE)
  assert.ok(!isSignIn((await known.open('/if/user/')).page))
  const portal = (await known.open('/if/user/')).page
  const signOut = formsOf(portal.text).find((form) => /sign out/i.test(form.text) && !/everywhere/i.test(form.text))
  if (signOut) {
    const left = await known.submit(portal, signOut)
    const confirm = formsOf(left.page.text).find((form) => /sign out/i.test(form.text))
    if (confirm) await known.submit(left.page, confirm)
  }

  const outcomes = []
  let slowed = 0
  for (let guess = 1; guess <= 30; guess += 1) {
    const attacker = new Visitor(door.url, from('203.0.113.66'))
    const page = await attacker.signIn({ username: 'alice', password: `guess-${guess}` })
    outcomes.push(page.status)
    if (isSlowed(page)) slowed += 1
    assert.ok(page.status < 500 || page.status === 503, `${page}`)
    assert.ok(isSignIn(page) || page.status === 429 || page.status === 403, `a wrong password got in\n${page}`)
  }
  const shown = JSON.stringify(outcomes)
  assert.ok(slowed > 0, `30 guesses at one account from one network were never slowed down: ${shown}`)

  const bob = await new Visitor(door.url, from('192.0.2.10')).signIn(BOB)
  assert.ok(!isSignIn(bob) && bob.status === 200, `bob, elsewhere, is stopped (${shown})\n${bob}`)

  const again = await known.signIn(ALICE)
  assert.ok(!isSignIn(again) && again.status === 200, `alice is stopped in her own browser (${shown})\n${again}`)
})

test('60 guesses from 60 networks do not stop alice in her own browser', async () => {
  const known = new Visitor(door.url, from('198.51.100.8'))
  await known.signIn(BOB)
  const jar = known.jar.clone()
  for (let guess = 1; guess <= 60; guess += 1) {
    const attacker = new Visitor(door.url, from(`203.0.${guess}.9`))
    await attacker.signIn({ username: 'bob', password: `guess-${guess}` })
  }
  const fresh = new Visitor(door.url, { ...from('198.51.100.8'), jar })
  const step = await fresh.walk(party.authorizeUrl({ prompt: 'login' }, pkce()), BOB)
  assert.ok(step.left?.searchParams.get('code'), `bob is stopped in his own browser: ${step.left ?? step.page}`)
})

test('IPv6 guesses from one /64 count together', async () => {
  let slowed = false
  for (let guess = 1; guess <= 130 && !slowed; guess += 1) {
    const attacker = new Visitor(door.url, from(`2001:db8:1:1::${guess.toString(16)}`))
    slowed = isSlowed(await attacker.signIn({ username: `name-${guess}`, password: 'a-guess-at-something' }))
  }
  assert.ok(slowed, '130 guesses from one /64 were never slowed down')
  const other = await new Visitor(door.url, from('2001:db8:2:2::1')).signIn(BOB)
  assert.ok(!isSignIn(other), `another /64 is not slowed down\n${other}`)
})

test('X-Forwarded-For from a peer that is not trusted is ignored', async () => {
  const strict = await startDoorward()
  try {
    await strict.addPeople()
    let slowed = false
    for (let guess = 1; guess <= 130 && !slowed; guess += 1) {
      slowed = isSlowed(await new Visitor(strict.url, from(`203.0.113.${guess}`)).signIn({ username: `name-${guess}`, password: 'a-guess-at-something' }))
    }
    assert.ok(slowed, '130 guesses from 127.0.0.1 with forged addresses were never slowed down')
  } finally {
    await strict.stop()
  }
})
