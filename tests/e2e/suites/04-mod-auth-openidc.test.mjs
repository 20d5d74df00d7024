// mod_auth_openidc in Apache: a page that only people of the audience reach, through Chromium.

import { after, before, test } from 'node:test'
import { apacheMissing, freePort, startApache } from '../lib/apache.mjs'
import { arrive, openContext, pressNamed, signInHere, startChromium, textOf } from '../lib/chromium.mjs'
import { ALICE, BOB, startDoorward } from '../lib/doorward.mjs'
import { assert } from '../lib/expect.mjs'
import { send } from '../lib/http.mjs'

const missing = apacheMissing()
let door, browser, apache, url

before(async () => {
  if (missing) return
  door = await startDoorward()
  await door.addPeople()
  browser = await startChromium()
  const port = await freePort()
  url = `http://127.0.0.1:${port}`
  const app = await door.addApplication(
    'apache',
    '--confidential',
    '--redirect-uri',
    `${url}/protected/redirect_uri`,
    '--post-logout-redirect-uri',
    `${url}/index.html`,
    '--backchannel-logout-uri',
    `${url}/protected/redirect_uri?logout=backchannel`,
    '--allow-group',
    'staff',
  )
  apache = await startApache({
    port,
    directives: [
      `OIDCProviderMetadataURL ${app.issuer}.well-known/openid-configuration`,
      `OIDCClientID "${app.client_id}"`,
      `OIDCClientSecret "${app.client_secret}"`,
      `OIDCRedirectURI ${url}/protected/redirect_uri`,
      'OIDCCryptoPassphrase a-passphrase-of-this-test-only',
      'OIDCScope "openid email profile offline_access"',
      'OIDCPKCEMethod S256',
      'OIDCRemoteUserClaim preferred_username',
      'OIDCPassIDTokenAs claims',
      'OIDCPassRefreshToken On',
      'OIDCInfoHook iat access_token access_token_expires id_token userinfo refresh_token session',
      'OIDCDefaultLoggedOutURL ' + `${url}/index.html`,
    ],
  })
})
after(async () => {
  await browser?.close()
  await apache?.stop()
  await door?.stop()
})

async function inBrowser(t, use) {
  const { context, problems } = await openContext(browser, door)
  t.after(() => context.close())
  const page = await context.newPage()
  try {
    await use(page, context)
  } catch (error) {
    error.message += `\nApache says: ${apache.log().split('\n').filter((line) => /error|warn/.test(line)).slice(-5).join('\n')}`
    throw error
  }
  assert.deepEqual(problems, [], 'problems on our pages')
}

async function enter(page, person = ALICE) {
  await page.goto(`${url}/protected/claims.cgi`)
  await signInHere(page, person)
  await arrive(page, `${url}/protected/claims.cgi`)
  return textOf(page)
}

test('a stranger is sent to sign in', { skip: missing }, async () => {
  const answer = await send(`${url}/protected/claims.cgi`, { headers: { accept: 'text/html' } })
  assert.equal(answer.status, 302, answer.toString())
  assert.ok(answer.location.startsWith(`${door.url}/application/o/authorize/`), answer.toString())
})

test('alice signs in and the page receives her claims', { skip: missing }, async (t) => {
  await inBrowser(t, async (page) => {
    const text = await enter(page)
    assert.match(text, /^REMOTE_USER=alice$/m, text)
    assert.match(text, /^OIDC_CLAIM_email=alice@example\.org$/m, text)
    assert.match(text, /^OIDC_CLAIM_groups=staff$/m, text)
    assert.match(text, /^OIDC_CLAIM_iss=.*\/application\/o\/apache\/$/m, text)
    await page.goto(`${url}/protected/claims.cgi?again`)
    assert.match(await textOf(page), /REMOTE_USER=alice/)
  })
})

test('bob, who is not in the audience, gets our page with a code and not Apache', { skip: missing }, async (t) => {
  await inBrowser(t, async (page) => {
    await page.goto(`${url}/protected/claims.cgi`)
    await signInHere(page, BOB)
    await page.waitForLoadState()
    assert.ok(page.url().startsWith(door.url), page.url())
    assert.match(await textOf(page), /DW-[0-9A-Z-]+/)
  })
})

test('the refresh hook renews the access token', { skip: missing }, async (t) => {
  await inBrowser(t, async (page, context) => {
    await enter(page)
    const info = async () => {
      const answer = await context.request.get(`${url}/protected/redirect_uri?info=json`)
      assert.equal(answer.status(), 200, await answer.text())
      return answer.json()
    }
    const first = await info()
    const target = new URL(`${url}/protected/redirect_uri`)
    target.searchParams.set('refresh', `${url}/protected/claims.cgi`)
    target.searchParams.set('access_token', first.access_token)
    await page.goto(target.href)
    await arrive(page, `${url}/protected/claims.cgi`)
    assert.doesNotMatch(page.url(), /error/, page.url())
    const second = await info()
    assert.notEqual(second.access_token, first.access_token)
    assert.notEqual(second.refresh_token, first.refresh_token)
    assert.equal(second.userinfo.email, ALICE.email)
  })
})

test('signing out at Apache ends the session here and returns', { skip: missing }, async (t) => {
  await inBrowser(t, async (page) => {
    await enter(page)
    const target = new URL(`${url}/protected/redirect_uri`)
    target.searchParams.set('logout', `${url}/index.html`)
    await page.goto(target.href)
    if (!page.url().startsWith(url)) await pressNamed(page, /sign out/i)
    await arrive(page, `${url}/index.html`)
    await page.goto(`${url}/protected/claims.cgi`)
    assert.ok(await page.locator('input[name=password]').count(), `expected the sign-in form, got: ${page.url()}`)
  })
})

test('ending the session here reaches Apache by back-channel', { skip: missing }, async (t) => {
  await inBrowser(t, async (page, context) => {
    await enter(page)
    await page.goto(`${door.url}/if/user/`)
    await pressNamed(page, /^sign out$/i)
    await page.waitForLoadState()
    let status
    for (let turn = 0; turn < 100; turn += 1) {
      const answer = await context.request.get(`${url}/protected/claims.cgi`, { maxRedirects: 0, headers: { accept: 'text/html' } })
      status = answer.status()
      if (status === 302) break
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
    assert.equal(status, 302, 'Apache still lets the page through 10 s after the session ended')
  })
})
