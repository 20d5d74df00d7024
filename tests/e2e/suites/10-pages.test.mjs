// Every page that can be reached, looked at as people see it: axe, light and dark, wide and narrow, with and without
// JavaScript, no console errors, no Content-Security-Policy violations, no sideways scrolling, light in weight.

import fs from 'node:fs'
import path from 'node:path'
import { after, before, test } from 'node:test'
import { AxeBuilder } from '@axe-core/playwright'
import { consentHere, openContext, signInHere, startChromium, textOf } from '../lib/chromium.mjs'
import { ADMIN, ALICE, BOB, engine, startDoorward } from '../lib/doorward.mjs'
import { assert, expectStatus } from '../lib/expect.mjs'
import { send } from '../lib/http.mjs'
import { HandClient, pkce } from '../lib/oauth.mjs'
import { startRelyingParty } from '../lib/rp.mjs'

const shots = process.env.E2E_SHOTS
const LOOKS = []
for (const colorScheme of ['light', 'dark']) {
  for (const width of [1280, 360]) LOOKS.push({ colorScheme, reducedMotion: 'reduce', viewport: { width, height: width === 1280 ? 800 : 740 } })
}
// The pages are the same on both engines: all looks on one of them are enough.
if (engine === 'postgres') LOOKS.splice(0, 3)
let door, fresh, rp, browser, asks, frames, tv

before(async () => {
  door = await startDoorward()
  fresh = await startDoorward({ bootstrap: false })
  rp = await startRelyingParty()
  browser = await startChromium()
  await door.addPeople()
  const create = async (slug, ...options) =>
    new HandClient(
      door,
      await door.addApplication(slug, '--redirect-uri', rp.url('/callback'), '--post-logout-redirect-uri', rp.url('/left'), '--allow-group', 'staff', ...options),
      rp.url('/callback'),
    )
  asks = await create('asks', '--confidential', '--consent', 'explicit', '--name', 'Grafana with a rather long name & <b>markup</b>')
  frames = await create('frames', '--confidential', '--frontchannel-logout-uri', rp.url('/frontchannel'))
  tv = await create('tv', '--public', '--grant', 'device_code')
  await door.cli('application', 'create', 'wiki', '--site', 'https://wiki.example', '--allow-group', 'staff')
  for (let index = 0; index < 14; index += 1) await create(`tile-${index}`, '--confidential', '--name', `Tile ${index}`)
})
after(async () => {
  await browser?.close()
  await rp?.close()
  await door?.stop()
  await fresh?.stop()
})

const signIn = async (page, person) => {
  await page.goto(`${door.url}/if/user/`)
  await signInHere(page, person)
  await page.waitForLoadState()
}
const deviceCode = async () => expectStatus(await tv.post('device', { scope: 'openid email' }), 200).json()
const enterCode = async (page, code, person = ALICE) => {
  await page.goto(`${door.url}/device`)
  if (await page.locator('input[name=password]').count()) await signInHere(page, person)
  await page.fill('input[name=user_code]', code)
  await page.locator('form', { has: page.locator('input[name=user_code]') }).locator('button').first().click()
  await page.waitForLoadState()
}

// Wrong device codes count against the person for an hour, and a right one does not clear the count: the sixth look at this
// page made alice wait two seconds, and the next page that needs a right code from her was refused when it came sooner.
// So each look has somebody who mistypes for the first time.
let mistyped = 0
const somebodyNew = async () => {
  mistyped += 1
  const username = `mistypes-${mistyped}`
  const person = { username, email: `${username}@example.org`, name: 'Carol Clay', password: 'broad-Orchard-31-walnut' }
  await door.addUser(person, '--group', 'staff')
  return person
}

let numbered = 0
/** Fills in the form for an app password; the reveal of the list of applications needs no script. */
const askForAppPassword = async (page, password) => {
  await signIn(page, ALICE)
  await page.goto(`${door.url}/if/user/app-passwords/`)
  await page.fill('input[name=name]', `Calendar ${(numbered += 1)}`)
  await page.check('#where-some')
  await page.locator('input[name=application]').first().check()
  await page.fill('input[name=current_password]', password)
  await page.locator('form', { has: page.locator('input[name=current_password]') }).locator('button[type=submit]').click()
  await page.waitForLoadState()
}

/** How to reach each page; every step works without JavaScript. */
const PAGES = {
  'sign-in': (page) => page.goto(asks.authorizeUrl({}, pkce())),
  'sign-in-refused': async (page) => {
    await page.goto(asks.authorizeUrl({ login_hint: 'alice' }, pkce()))
    await signInHere(page, { ...ALICE, password: 'not-her-password' })
    await page.waitForLoadState()
  },
  'sign-in-empty': async (page) => {
    await page.goto(`${door.url}/if/user/`)
    await page.locator('form', { has: page.locator('input[name=password]') }).evaluate((form) => (form.noValidate = true))
    await signInHere(page, { username: '', password: '' })
    await page.waitForLoadState()
  },
  consent: async (page) => {
    await page.goto(asks.authorizeUrl({ prompt: 'consent' }, pkce()))
    await signInHere(page, ALICE)
    await page.waitForSelector('button[name=decision]')
  },
  'select-account': async (page) => {
    await signIn(page, ALICE)
    await page.goto(asks.authorizeUrl({ prompt: 'select_account' }, pkce()))
  },
  'not-for-you': async (page) => {
    await page.goto(asks.authorizeUrl({}, pkce()))
    await signInHere(page, BOB)
    await page.waitForLoadState()
    assert.match(await textOf(page), /DW-/)
  },
  'wrong-redirect': (page) => page.goto(asks.authorizeUrl({ redirect_uri: 'https://evil.example/' }, pkce())),
  'wrong-redirect-for-the-administrator': async (page) => {
    await signIn(page, ADMIN)
    await page.goto(asks.authorizeUrl({ redirect_uri: `${rp.url('/callback')}/typo` }, pkce()))
  },
  'device-code': (page) => page.goto(`${door.url}/device`),
  'device-code-signed-in': async (page) => {
    await signIn(page, ALICE)
    await page.goto(`${door.url}/device`)
  },
  'device-code-wrong': async (page) => {
    await enterCode(page, 'XXXX-XXXX', await somebodyNew())
    assert.match(await textOf(page), /This code is not known/)
  },
  'device-confirm': async (page) => {
    await enterCode(page, (await deviceCode()).user_code)
    await page.waitForSelector('button[name=decision]')
  },
  'device-done': async (page) => {
    await enterCode(page, (await deviceCode()).user_code)
    await consentHere(page)
    await page.waitForLoadState()
  },
  'device-denied': async (page) => {
    await enterCode(page, (await deviceCode()).user_code)
    await consentHere(page, 'deny')
    await page.waitForLoadState()
  },
  portal: (page) => signIn(page, ALICE),
  'portal-empty': (page) => signIn(page, BOB),
  'portal-administrator': (page) => signIn(page, ADMIN),
  'app-passwords': async (page) => {
    await signIn(page, ALICE)
    await page.goto(`${door.url}/if/user/app-passwords/`)
    await page.check('#where-some')
  },
  'app-password-made': async (page) => {
    await askForAppPassword(page, ALICE.password)
    assert.match(await page.locator('#code').innerText(), /^dwk_[\w-]{43}$/)
  },
  'app-password-refused': async (page) => {
    await askForAppPassword(page, 'not-her-password')
    assert.equal(await page.locator('#code').count(), 0)
  },
  'app-password-revoke': async (page) => {
    await askForAppPassword(page, ALICE.password)
    await page.goto(`${door.url}/if/user/app-passwords/`)
    await page.locator('summary').first().click()
  },
  'end-session': async (page) => {
    await signIn(page, ALICE)
    await page.goto(`${frames.app.issuer}end-session/`)
  },
  'signed-out': async (page) => {
    await signIn(page, ALICE)
    await page.getByRole('button', { name: /^sign out$/i }).or(page.getByRole('link', { name: /^sign out$/i })).first().click()
    await page.waitForLoadState()
  },
  'set-up': async (page) => {
    const link = fresh.log().match(/http:\/\/localhost:\d+\/setup\/[\w.~-]+/)[0]
    await page.goto(link)
  },
  'set-up-wrong': (page) => page.goto(`${fresh.url}/setup/AAAAAAAAAAAAAAAAAAAAAAAA`),
  'not-found': (page) => page.goto(`${door.url}/no/such/page`),
  front: (page) => page.goto(`${door.url}/`),
}

async function axe(page) {
  return (await new AxeBuilder({ page }).setLegacyMode(true).analyze()).violations
}

/** axe needs scripts: shows it the page as it stands without ours, in a context where scripts may run. */
async function withScripts(page, looks, use) {
  const html = (await page.content()).replace(/<script\b[^>]*>[\s\S]*?<\/script>/gi, '')
  const context = await browser.newContext(looks)
  try {
    const copy = await context.newPage()
    const address = page.url()
    await copy.route(address, (route) => route.fulfill({ contentType: 'text/html; charset=utf-8', body: html }))
    await copy.goto(address)
    return await use(copy)
  } finally {
    await context.close()
  }
}

async function look(page, name, { colorScheme, viewport }, javaScriptEnabled) {
  const found = []
  const overflow = () => page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth)
  const facts = await page.evaluate(() => ({
    title: document.title,
    lang: document.documentElement.lang,
    main: document.querySelectorAll('main').length,
    h1: document.querySelectorAll('h1').length,
    inline: document.querySelectorAll('script:not([src]), [style], [onclick], [onsubmit], style').length,
  }))
  if (shots) {
    const file = `${name}-${viewport.width}-${colorScheme}${javaScriptEnabled ? '' : '-noscript'}.png`
    await page.screenshot({ path: path.join(shots, file), fullPage: true })
  }
  if (!facts.title.trim()) found.push('no title')
  if (!facts.lang) found.push('no lang')
  if (facts.main !== 1) found.push(`${facts.main} main landmarks`)
  if (facts.h1 !== 1) found.push(`${facts.h1} h1 headings`)
  if (facts.inline) found.push(`${facts.inline} inline scripts, styles or handlers`)
  const violations = javaScriptEnabled ? await axe(page) : await withScripts(page, { colorScheme, viewport }, axe)
  for (const { id, impact, help, nodes } of violations) {
    found.push(`axe ${impact} ${id}: ${help}: ${nodes.slice(0, 3).map((node) => `${node.html.slice(0, 160)} (${node.any.concat(node.all)[0]?.message ?? ''})`).join(' | ')}`)
  }
  if ((await overflow()) > 0) found.push(`scrolls sideways by ${await overflow()} px at ${viewport.width}`)
  if (viewport.width === 360) {
    await page.setViewportSize({ width: 320, height: 640 })
    if ((await overflow()) > 0) found.push(`scrolls sideways by ${await overflow()} px at 320`)
  }
  return found
}

for (const javaScriptEnabled of [true, false]) {
  for (const [name, reach] of Object.entries(PAGES)) {
    test(`${name}${javaScriptEnabled ? '' : ' without JavaScript'}`, { timeout: 120_000 }, async () => {
      const all = []
      for (const looks of javaScriptEnabled ? LOOKS : LOOKS.slice(0, 2)) {
        const { context, problems } = await openContext(browser, door, { ...looks, javaScriptEnabled })
        try {
          const page = await context.newPage()
          await reach(page)
          const found = await look(page, name, looks, javaScriptEnabled)
          all.push(...[...found, ...problems].map((line) => `${looks.viewport.width} ${looks.colorScheme}: ${line}`))
        } finally {
          await context.close()
        }
      }
      assert.deepEqual(all, [], `problems on ${name}`)
    })
  }
}

for (const [who, person] of Object.entries({ alice: ALICE, admin: ADMIN })) {
  test(`every page that links lead to for ${who}`, { timeout: 300_000 }, async () => {
    const looks = LOOKS.at(-1)
    const { context, problems } = await openContext(browser, door, looks)
    const all = []
    try {
      const page = await context.newPage()
      await signIn(page, person)
      const seen = new Set()
      const waiting = [`${door.url}/if/user/`]
      while (waiting.length && seen.size < 40) {
        const target = waiting.shift()
        if (seen.has(target)) continue
        seen.add(target)
        const answer = await page.goto(target)
        if (answer.status() >= 400) all.push(`${target}: ${answer.status()}`)
        const name = `link-${who}-${new URL(target).pathname.replace(/\W+/g, '-')}`
        all.push(...(await look(page, name, looks, true)).map((line) => `${target}: ${line}`))
        await page.setViewportSize(looks.viewport)
        const links = await page.locator('a[href]').evaluateAll((found) => found.map((one) => one.href))
        for (const link of links) {
          const url = new URL(link)
          url.hash = ''
          if (url.origin === new URL(door.url).origin && !/sign.?out|end-session|authorize/.test(url.pathname)) waiting.push(url.href)
        }
      }
      assert.deepEqual([...all, ...problems], [], `problems behind the links of ${[...seen].join(', ')}`)
    } finally {
      await context.close()
    }
  })
}

test('the keyboard is enough: tab order, Enter signs in', async (t) => {
  const { context, problems } = await openContext(browser, door)
  t.after(() => context.close())
  const page = await context.newPage()
  await page.goto(`${door.url}/if/user/`)
  const focused = () => page.evaluate(() => document.activeElement?.getAttribute('name') ?? document.activeElement?.tagName)
  for (let turn = 0; turn < 10 && (await focused()) !== 'username'; turn += 1) await page.keyboard.press('Tab')
  assert.equal(await focused(), 'username')
  await page.keyboard.type(ALICE.username)
  for (let turn = 0; turn < 5 && (await focused()) !== 'password'; turn += 1) await page.keyboard.press('Tab')
  await page.keyboard.type(ALICE.password)
  await page.keyboard.press('Enter')
  await page.waitForFunction(() => !document.querySelector('input[name=password]'))
  assert.deepEqual(problems, [])
})

test('after a refusal the error stands above the fields, has the focus and the name stays', async (t) => {
  const { context } = await openContext(browser, door)
  t.after(() => context.close())
  const page = await context.newPage()
  await page.goto(`${door.url}/if/user/`)
  await signInHere(page, { ...ALICE, password: 'not-her-password' })
  await page.waitForLoadState()
  assert.equal(await page.inputValue('input[name=username]'), ALICE.username)
  const alert = page.locator('[role=alert], [autofocus], [aria-live]').first()
  assert.ok((await alert.innerText()).length > 10, 'a sentence that says what to do')
  const [above, field] = [await alert.boundingBox(), await page.locator('input[name=username]').boundingBox()]
  assert.ok(above.y < field.y, 'above the fields')
})

test('a sign-in page weighs under 60 KB in at most one style sheet and one script', async (t) => {
  const { context } = await openContext(browser, door)
  t.after(() => context.close())
  const page = await context.newPage()
  const loaded = []
  page.on('response', async (response) => loaded.push({ url: response.url(), type: response.request().resourceType(), size: (await response.body().catch(() => '')).length }))
  await page.goto(`${door.url}/if/user/`, { waitUntil: 'networkidle' })
  const of = (type) => loaded.filter((one) => one.type === type)
  assert.ok(of('stylesheet').length <= 1 && of('script').length <= 1, JSON.stringify(loaded))
  const total = loaded.reduce((sum, one) => sum + one.size, 0)
  assert.ok(total < 60_000, `${total} bytes: ${JSON.stringify(loaded)}`)
})

test('pages carry a strict Content-Security-Policy and the other headers; assets are kept for ever', async () => {
  const page = expectStatus(await send(asks.authorizeUrl({}, pkce())).then((one) => (one.location ? send(one.location) : one)), 200)
  const policy = page.headers['content-security-policy'] ?? ''
  assert.match(policy, /default-src 'none'|default-src 'self'/, page.toString())
  assert.doesNotMatch(policy, /unsafe-inline|unsafe-eval/, policy)
  assert.match(policy, /frame-ancestors 'none'/, policy)
  assert.match(policy, /base-uri 'none'|base-uri 'self'/, policy)
  assert.equal(page.headers['x-content-type-options'], 'nosniff', page.toString())
  assert.match(page.headers['referrer-policy'] ?? '', /no-referrer|same-origin|strict-origin/, page.toString())
  assert.match(page.headers['cache-control'] ?? '', /no-store/, page.toString())
  const sheet = page.text.match(/<link[^>]+href="([^"]+\.css[^"]*)"/)?.[1]
  assert.ok(sheet, page.toString())
  const asset = expectStatus(await send(new URL(sheet, door.url).href), 200)
  assert.match(asset.headers['cache-control'] ?? '', /max-age=31536000.*immutable|immutable.*max-age=31536000/, asset.toString())
})

test('the screenshots are there to be looked at', () => {
  if (!shots) return
  assert.ok(fs.readdirSync(shots).length >= Object.keys(PAGES).length, shots)
})
