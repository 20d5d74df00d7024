// Forward auth with real proxies, each started from what `doorward application snippet` prints, in front of a service that says
// what reached it.

import { spawnSync } from 'node:child_process'
import { after, before, describe, test } from 'node:test'
import { arrive, chromiumPath, openContext, signInHere, startChromium, textOf } from '../lib/chromium.mjs'
import { ALICE, BOB, freePort, startDoorward, temporaryFolder } from '../lib/doorward.mjs'
import { assert, expectStatus } from '../lib/expect.mjs'
import { Jar, send } from '../lib/http.mjs'
import { PROXIES, makeCertificate, openSocket, sendRaw, startProxy, startService, walkAcross } from '../lib/proxies.mjs'

/** Every name under which a service may be told who came. */
const DOORWARD = ['Username', 'Email', 'Name', 'Groups', 'Uid', 'User-Id', 'Application', 'Jwt'].map((name) => `X-Doorward-${name}`)
const AUTHENTIK = [
  ...['username', 'groups', 'entitlements', 'email', 'name', 'uid', 'jwt'],
  ...['meta-jwks', 'meta-outpost', 'meta-provider', 'meta-app', 'meta-version'],
].map((name) => `X-authentik-${name}`)
const REMOTE = ['User', 'Groups', 'Email', 'Name'].map((name) => `Remote-${name}`)
const IDENTITY = [...DOORWARD, ...AUTHENTIK, ...REMOTE]

/** Her name means something in the configuration of each proxy, and to none of them when it comes from Doorward. */
const CURLY = { username: 'curly', email: 'curly@example.org', name: '{env.HOME} $host %[src] ${x} %REQ(:path)% {{.Host}}', password: 'sharp-Ladder-33-ochre' }

const CODE = /\bDW-[0-9A-Z]+(?:-[0-9A-Z]+)*\b/
const PAGE_VIEW = { headers: { accept: 'text/html', 'sec-fetch-mode': 'navigate' } }
const HOST = 'wiki.example.test'

const RULES = ['public /public/', 'deny /closed/', 'public GET /read', 'deny POST,PUT /read']

let door, service, browser, certificate

before(async () => {
  door = await startDoorward({ env: { DOORWARD_TRUSTED_PROXIES: '127.0.0.1' } })
  service = await startService()
  await door.addPeople()
  await door.addUser(CURLY, '--group', 'staff')
  certificate = makeCertificate()
  if (chromiumPath()) browser = await startChromium(['--host-resolver-rules=MAP *.example.test 127.0.0.1'])
})
after(async () => {
  await browser?.close()
  await service?.close()
  await door?.stop()
})

/** A site with a public part and a closed part, and one with all header sets for every host below `apps.example.test`. */
async function addSites(slug, port, scheme) {
  const wiki = `${scheme}://${HOST}:${port}`
  const apps = `${scheme}://*.apps.example.test:${port}/app`
  await door.cli('application', 'create', slug, '--allow-group', 'staff', '--site', wiki, ...RULES.flatMap((rule) => ['--rule', rule]))
  await door.cli('application', 'update', slug, '--site', apps, '--authentik-headers', 'on', '--remote-headers', 'on', '--jwt-header', 'on')
  return { wiki, apps }
}

/** The values that the service saw under a name, whatever its spelling. */
function seenUnder(entry, name) {
  const same = (text) => text.toLowerCase().replace(/[^a-z0-9]/g, '-')
  const found = []
  for (let index = 0; index < entry.raw.length; index += 2) {
    if (same(entry.raw[index]) === same(name)) found.push(entry.raw[index + 1])
  }
  return found
}

/** What a service could take for the name: other cases, other separators, twice. */
function forgeries() {
  const spellings = (name) => [
    name,
    name.toUpperCase(),
    name.toLowerCase(),
    name.replaceAll('-', '_'),
    name.replace('-', '_'),
    name.replace(/-([^-]*)$/, '_$1'),
    name.replaceAll('-', '.'),
  ]
  return IDENTITY.flatMap((name) => [...new Set(spellings(name))].map((spelling) => `${spelling}: forged`)).concat(IDENTITY.map((name) => `${name}: forged twice`))
}

function guard(proxy, secure) {
  const scheme = secure ? 'https' : 'http'
  const title = `${proxy.name}${secure ? ' over https' : ''}`
  const missing = !proxy.binary ? proxy.missing : secure && !makeCertificate() ? 'openssl is not installed' : undefined

  describe(title, { skip: missing ?? false }, () => {
    let running, port, wiki, alice
    const slug = `${title}`.toLowerCase().replaceAll(' ', '-')

    const last = () => service.seen.at(-1)
    const raw = (text) => sendRaw(port, text, { secure, servername: HOST })
    const seeing = async (use) => {
      service.seen.length = 0
      await use()
      return service.seen.slice()
    }
    const enter = async (person, target = '/', jar = new Jar()) => ({ jar, ...(await walkAcross(jar, wiki + target, person)) })
    const cookieOf = (jar) => jar.header(`${wiki}/`)

    before(async () => {
      port = await freePort()
      ;({ wiki } = await addSites(slug, port, scheme))
      const options = ['--doorward', `127.0.0.1:${door.port}`, '--upstream', service.address, '--bind', '127.0.0.1']
      if (secure) options.push('--certificate', certificate.both, '--key', certificate.key)
      const { files } = await door.cli('application', 'snippet', slug, '--proxy', proxy.snippet, ...options)
      running = await startProxy(proxy, { files, ports: [port], probe: `${wiki}/` })
      alice = (await enter(ALICE)).jar
    })
    after(() => running?.stop())

    // Odd queries too: they come back as they were.
    for (const target of ['/deep/page?a=b&c=%20d&e=f%26g', '/?next=https://x/?y=z', '/a%20b/%C3%A4?q=%2B+%25&q=2#', '/plain']) {
      test(`a stranger signs in and is back at ${target}`, async () => {
        const { answer, way } = await enter(ALICE, target.replace('#', ''))
        const shown = `${way.join('\n')}\n${answer}\n${running.log()}`
        assert.equal(answer.status, 200, shown)
        assert.equal(answer.url, new URL(wiki + target.replace('#', '')).href, shown)
        assert.equal(last().url, target.replace('#', ''), shown)
        assert.deepEqual(seenUnder(last(), 'X-Doorward-Username'), ['alice'], shown)
        assert.deepEqual(seenUnder(last(), 'X-Doorward-Groups'), ['staff'], shown)
      })
    }

    test('the body of a post arrives as it was sent', async () => {
      const body = 'Ä'.repeat(150_000)
      const answer = expectStatus(await send(`${wiki}/save?now`, { jar: alice, method: 'POST', body, headers: { 'content-type': 'text/plain' } }), 200)
      assert.equal(last().method, 'POST', answer.toString())
      assert.ok(last().body === body, `${last().body.length} characters arrived`)
      for (const method of ['PUT', 'PATCH', 'DELETE']) {
        expectStatus(await send(`${wiki}/save`, { jar: alice, method, body: 'x' }), 200)
        assert.equal(last().method, method)
        assert.equal(last().body, 'x')
      }
      expectStatus(await send(`${wiki}/save`, { jar: alice, method: 'HEAD' }), 200)
      assert.equal(last().method, 'HEAD')
    })

    test('a stranger gets 401 and no redirect for what is no page view', async () => {
      const requests = {
        xhr: { headers: { accept: 'application/json', 'x-requested-with': 'XMLHttpRequest' } },
        fetch: { headers: { accept: '*/*', 'sec-fetch-mode': 'cors', 'sec-fetch-dest': 'empty' } },
        post: { method: 'POST', body: 'a=b', headers: { accept: 'text/html' } },
        delete: { method: 'DELETE', headers: { accept: 'text/html' } },
        credentials: { headers: { accept: 'text/html', authorization: 'Bearer nobody-knows-this' } },
      }
      const reached = await seeing(async () => {
        for (const [name, request] of Object.entries(requests)) {
          const answer = await send(`${wiki}/api`, request)
          assert.equal(answer.status, 401, `${name}\n${answer}`)
          assert.equal(answer.location, undefined, `${name}\n${answer}`)
        }
      })
      assert.deepEqual(reached, [])
    })

    test('forged headers never reach the service, on guarded and public paths, on plain requests and upgrades', async () => {
      const upgrade = 'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=='
      const cases = []
      for (const target of ['/x', '/public/x']) {
        for (const cookie of [undefined, cookieOf(alice)]) {
          for (const ending of ['Connection: close', upgrade]) if (cookie || target !== '/x') cases.push({ target, cookie, ending })
        }
      }
      const lines = forgeries()
      // Some proxies refuse what is this large; a part at a time is what an attacker would send.
      for (const { target, cookie, ending } of cases) {
        for (let from = 0; from < lines.length; from += 40) {
          const head = [`GET ${target} HTTP/1.1`, `Host: ${HOST}:${port}`, ...(cookie ? [`Cookie: ${cookie}`] : []), ...lines.slice(from, from + 40), ending]
          const reached = await seeing(async () => {
            const answer = raw(`${head.join('\r\n')}\r\n\r\n`).catch(() => undefined)
            // An upgraded connection stays open.
            for (let turn = 0; turn < 100 && !service.seen.length; turn += 1) await Promise.race([answer, new Promise((resolve) => setTimeout(resolve, 20))])
          })
          const about = `${target} ${cookie ? 'signed in' : 'anonymous'} ${ending.slice(0, 20)}`
          assert.equal(reached.length, 1, `${about}: the service was not reached\n${running.log()}`)
          const arrived = reached[0].raw.filter((value, index) => index % 2 && /forged/.test(value))
          assert.deepEqual(arrived, [], `${about}: ${JSON.stringify(reached[0].raw)}`)
          const names = seenUnder(reached[0], 'X-Doorward-Username').filter(Boolean)
          assert.deepEqual(names, cookie ? ['alice'] : [], about)
        }
      }
    })

    test('the sets that are on tell who came; the sets that are off are empty', async () => {
      const apps = `${scheme}://one.apps.example.test:${port}/app/x`
      await walkAcross(alice, apps, ALICE)
      expectStatus(await send(apps, { jar: alice }), 200)
      const told = (name) => seenUnder(last(), name).join()
      assert.equal(told('X-authentik-username'), 'alice', JSON.stringify(last().raw))
      assert.equal(told('X-authentik-groups'), 'staff')
      assert.equal(told('X-authentik-email'), ALICE.email)
      assert.equal(told('Remote-User'), 'alice')
      assert.equal(told('Remote-Name'), ALICE.name)
      assert.match(told('X-Doorward-Jwt'), /^[\w-]+\.[\w-]+\.[\w-]+$/)
      expectStatus(await send(`${wiki}/x`, { jar: alice }), 200)
      for (const name of [...AUTHENTIK, ...REMOTE]) assert.equal(told(name), '', name)
    })

    test('what a person is called is no configuration', async () => {
      const { answer, way } = await enter(CURLY, '/x')
      assert.equal(answer.status, 200, `${way.join('\n')}\n${answer}`)
      assert.equal(decodeURIComponent(seenUnder(last(), 'X-Doorward-Name').join()), CURLY.name)
    })

    test('X-Forwarded-* and the original address come from the proxy, not from the visitor', async () => {
      const lies = {
        'x-forwarded-for': '203.0.113.66',
        'x-forwarded-proto': 'gopher',
        'x-forwarded-host': 'evil.example',
        'x-forwarded-uri': '/public/x',
        'x-forwarded-method': 'OPTIONS',
        'x-original-url': `${wiki}/public/x`,
        'x-original-method': 'OPTIONS',
        'x-doorward-code': 'DW-FORGED',
        forwarded: 'for=203.0.113.66;host=evil.example',
      }
      const reached = await seeing(async () => {
        expectStatus(await send(`${wiki}/x`, { headers: { ...lies, accept: 'application/json' } }), 401)
        const answer = expectStatus(await send(`${wiki}/x`, { headers: { ...lies, ...PAGE_VIEW.headers } }), 302)
        assert.doesNotMatch(answer.location, /evil|public/, answer.toString())
      })
      assert.deepEqual(reached, [])
      expectStatus(await send(`${wiki}/x`, { jar: alice, headers: lies }), 200)
      assert.equal(last().headers['x-forwarded-proto'], scheme)
      assert.doesNotMatch(last().headers['x-forwarded-for'] ?? '', /203\.0\.113\.66/)
      assert.doesNotMatch(last().headers['x-forwarded-host'] ?? '', /evil/)
    })

    test('bob, who is not in the audience, gets 403 and a code that explains itself', async () => {
      const reached = await seeing(async () => {
        const { answer, way } = await enter(BOB, '/plans')
        assert.equal(answer.status, 403, `${way.join('\n')}\n${answer}`)
        const code = answer.text.match(CODE)?.[0]
        assert.ok(code, answer.toString())
        const explained = await door.run(['explain', code])
        assert.equal(explained.status, 0, explained.stderr)
        assert.match(explained.stdout, /bob/)
      })
      assert.deepEqual(reached, [])
    })

    test('a closed path is closed to those who are in, by every spelling', async () => {
      for (const target of ['/closed/x', '/closed//x', '/public/../closed/x', '/%63losed/x', '/./closed/x', '/public/%2e%2e/closed/x']) {
        const reached = await seeing(() => raw(`GET ${target} HTTP/1.1\r\nHost: ${HOST}:${port}\r\nCookie: ${cookieOf(alice)}\r\nConnection: close\r\n\r\n`))
        assert.deepEqual(reached, [], target)
      }
    })

    test('nothing of a guarded path is public by the way it is written', async () => {
      const targets = ['/public/../x', '/public/%2e%2e/x', '/public/..%2fx', '/public/.%2e/x', '/.doorward/../x', '/.doorward/start/../../x', '/.doorward/auth/../../x', '//public/../x', '/PUBLIC/x', '/public;/../x', '/public\\..\\x']
      for (const target of targets) {
        const reached = await seeing(() => raw(`GET ${target} HTTP/1.1\r\nHost: ${HOST}:${port}\r\nConnection: close\r\n\r\n`))
        assert.deepEqual(reached, [], target)
      }
    })

    test('rules for methods count with the method of the visitor', async () => {
      const reached = await seeing(async () => {
        expectStatus(await send(`${wiki}/read/x`), 200)
        expectStatus(await send(`${wiki}/read/x`, { method: 'HEAD' }), 200)
        expectStatus(await send(`${wiki}/read/x`, { method: 'DELETE' }), 401)
        const lies = { 'x-http-method-override': 'GET', 'x-forwarded-method': 'GET', 'x-original-method': 'GET' }
        expectStatus(await send(`${wiki}/read/x`, { method: 'DELETE', headers: lies }), 401)
        expectStatus(await send(`${wiki}/read/x`, { jar: alice, method: 'DELETE' }), 200)
        for (const method of ['POST', 'PUT']) expectStatus(await send(`${wiki}/read/x`, { jar: alice, method, body: 'x', headers: lies }), 403)
      })
      assert.deepEqual(reached.map((entry) => entry.method), ['GET', 'HEAD', 'DELETE'])
    })

    test('an unknown host is refused without a loop, and another site does not open this one', async () => {
      const cases = {
        unknown: `GET / HTTP/1.1\r\nHost: unknown.example.test:${port}`,
        'two labels': `GET /app/ HTTP/1.1\r\nHost: a.b.apps.example.test:${port}`,
        'two hosts': `GET http://unknown.example.test/ HTTP/1.1\r\nHost: ${HOST}:${port}`,
        'the other way round': `GET http://${HOST}:${port}/x HTTP/1.1\r\nHost: one.apps.example.test:${port}`,
        'no host': 'GET / HTTP/1.0',
      }
      for (const [name, text] of Object.entries(cases)) {
        const reached = await seeing(async () => {
          const answer = await raw(`${text}\r\nAccept: text/html\r\nConnection: close\r\n\r\n`).catch(() => ({ status: 0, text: '' }))
          // A redirect to sign in may lead to the host that was really asked for, never back to the unknown one.
          assert.doesNotMatch(answer.text, /^location:.*unknown/im, `${name}\n${answer.text}`)
        })
        assert.deepEqual(reached, [], name)
      }
    })

    test('a WebSocket works for those who are in and is refused to strangers', async () => {
      const reached = await seeing(async () => {
        const refused = await openSocket(`${wiki}/live`, { origin: wiki, 'sec-fetch-mode': 'websocket' })
        assert.equal(refused.status, 401, JSON.stringify(refused.headers))
        assert.equal(refused.headers.location, undefined)
      })
      assert.deepEqual(reached, [])
      const socket = await openSocket(`${wiki}/live?room=1`, { cookie: cookieOf(alice), origin: wiki })
      assert.equal(socket.status, 101, running.log())
      assert.equal(await socket.say('one'), 'echo one')
      assert.equal(await socket.say('two'), 'echo two')
      assert.equal(last().url, '/live?room=1')
      assert.deepEqual(seenUnder(last(), 'X-Doorward-Username'), ['alice'])
      socket.close()
    })

    test('streams, and the answers of the service, pass as they are', async () => {
      const stream = expectStatus(await send(`${wiki}/stream`, { jar: alice }), 200)
      assert.equal(stream.text, 'data: 1\n\ndata: 2\n\ndata: 3\n\n')
      for (const status of [204, 401, 403, 404, 500, 503]) {
        const answer = expectStatus(await send(`${wiki}/status/${status}`, { jar: alice }), status)
        assert.equal(answer.headers['x-service'], 'yes', answer.toString())
        assert.equal(answer.location, undefined)
      }
      expectStatus(await send(`${wiki}/x?${'q'.repeat(3000)}`, { jar: alice, headers: { 'x-large': 'l'.repeat(4000) } }), 200)
    })

    test('the checks are not for visitors', async () => {
      const reached = await seeing(async () => {
        for (const prefix of ['/.doorward', '/outpost.goauthentik.io']) {
          for (const kind of ['nginx', 'haproxy', 'caddy', 'traefik', 'envoy', `${proxy.snippet}/public/x`]) {
            const headers = { 'x-original-url': `${wiki}/public/x`, 'x-forwarded-uri': '/public/x', 'x-forwarded-method': 'GET' }
            for (const jar of [undefined, alice]) {
              const answer = await send(`${wiki}${prefix}/auth/${kind}`, { jar, headers })
              assert.ok(answer.status >= 400, answer.toString())
              assert.equal(answer.headers['x-doorward-username'], undefined, answer.toString())
            }
          }
        }
      })
      assert.deepEqual(reached, [])
    })

    test('a session that ends in the middle leads to signing in again', async () => {
      const { jar } = await enter(ALICE)
      expectStatus(await send(`${wiki}/x`, { jar }), 200)
      await door.cli('session', 'end', '--user', 'alice', '--all', '--yes')
      const until = Date.now() + 5000
      let answer
      do answer = await send(`${wiki}/x?again`, { jar, ...PAGE_VIEW })
      while (answer.status === 200 && Date.now() < until)
      expectStatus(answer, 302)
      expectStatus(await send(`${wiki}/x`, { jar, headers: { accept: 'application/json' } }), 401)
      const back = await walkAcross(jar, `${wiki}/x?again`, ALICE)
      assert.equal(back.answer.status, 200, back.way.join('\n'))
      assert.equal(back.answer.url, `${wiki}/x?again`)
      alice = jar
    })

    test('signing out ends access at the next request, with kept cookies too', async () => {
      const { jar } = await enter(ALICE)
      const kept = jar.clone()
      expectStatus(await send(`${wiki}/x`, { jar: kept }), 200)
      const { answer, way } = await walkAcross(jar, `${wiki}/.doorward/sign_out`)
      assert.ok(answer.status < 400, `${way.join('\n')}\n${answer}`)
      expectStatus(await send(`${wiki}/x`, { jar: kept, ...PAGE_VIEW }), 302)
      expectStatus(await send(`${wiki}/x`, { jar: kept, headers: { accept: 'application/json' } }), 401)
    })

    test('20 first requests at once make one session', async () => {
      await door.cli('session', 'end', '--user', 'alice', '--all', '--yes')
      const jar = new Jar()
      await walkAcross(jar, `${door.url}/if/user/`, ALICE)
      // One browser that comes back to life with 20 tabs.
      const answers = await Promise.all(Array.from({ length: 20 }, (_, index) => walkAcross(jar, `${wiki}/tab?${index}`)))
      for (const [index, { answer, way }] of answers.entries()) {
        assert.equal(answer.status, 200, `${way.join('\n')}\n${answer}`)
        assert.equal(answer.url, `${wiki}/tab?${index}`)
      }
      const sessions = await door.cli('session', 'list', '--user', 'alice')
      assert.equal(sessions.length, 1, JSON.stringify(sessions))
      alice = (await enter(ALICE)).jar
    })

    test('credentials that were meant for Doorward stay with it', async () => {
      expectStatus(await send(`${wiki}/x`, { jar: alice, headers: { authorization: 'Bearer of-the-service' } }), 200)
      const kept = last().headers.authorization
      // Traefik cannot tell; its configuration takes the safe way and says so.
      assert.equal(kept, proxy.snippet === 'traefik' ? undefined : 'Bearer of-the-service')
    })

    test('an app password lets a program in and does not reach the service', async () => {
      const { secret } = await door.cli('user', 'app-password', 'create', 'alice', '--name', slug)
      const shown = { basic: `Basic ${Buffer.from(`alice:${secret}`).toString('base64')}`, bearer: `Bearer ${secret}` }
      for (const [kind, authorization] of Object.entries(shown)) {
        const answer = expectStatus(await send(`${wiki}/api`, { headers: { authorization, accept: 'application/json' } }), 200)
        assert.equal(last().headers.authorization, undefined, `${kind}\n${answer}`)
        assert.deepEqual(seenUnder(last(), 'X-Doorward-Username'), ['alice'], kind)
        for (const name of last().raw) assert.doesNotMatch(name, /strip-authorization/i)
      }
    })

    if (['nginx', 'caddy'].includes(proxy.snippet)) {
      test('in a browser: signing in, the same page with its query, signing out', { skip: chromiumPath() ? false : 'Chromium is not installed' }, async (t) => {
        const { context, problems } = await openContext(browser, door, { ignoreHTTPSErrors: true })
        t.after(() => context.close())
        const page = await context.newPage()
        const wanted = `${wiki}/page?a=b&c=%20d&next=https://x/?y=z`
        await page.goto(wanted)
        await signInHere(page, ALICE)
        await arrive(page, wiki)
        assert.equal(page.url(), wanted)
        assert.match(await textOf(page), /"x-doorward-username":"alice"/i)
        const fetched = await page.evaluate(() => fetch('/api', { method: 'POST', body: 'x' }).then((answer) => answer.status))
        assert.equal(fetched, 200)
        await page.goto(`${wiki}/.doorward/sign_out`)
        await page.waitForLoadState()
        assert.equal(await page.evaluate(() => 1), 1)
        await page.goto(wanted)
        assert.ok(await page.locator('input[name=password]').count(), `expected the sign-in form, got: ${page.url()}`)
        assert.deepEqual(problems, [])
      })
    }
  })
}

for (const proxy of PROXIES) guard(proxy, false)
guard(PROXIES.find((proxy) => proxy.snippet === 'nginx'), true)
guard(PROXIES.find((proxy) => proxy.name === 'Caddy of Debian'), true)

describe('without Doorward nobody passes', () => {
  for (const proxy of PROXIES) {
    test(proxy.name, { skip: proxy.binary ? false : proxy.missing }, async (t) => {
      const port = await freePort()
      const slug = `away-${proxy.name.toLowerCase().replaceAll(' ', '-')}`
      const { wiki } = await addSites(slug, port, 'http')
      const options = ['--doorward', `127.0.0.1:${await freePort()}`, '--upstream', service.address, '--bind', '127.0.0.1']
      const { files } = await door.cli('application', 'snippet', slug, '--proxy', proxy.snippet, ...options)
      const running = await startProxy(proxy, { files, ports: [port], probe: `${wiki}/`, ready: (answer) => answer.status >= 500 })
      t.after(() => running.stop())
      service.seen.length = 0
      for (const target of ['/x', '/public/x', '/.doorward/start', '/read/x']) {
        const answer = await send(`${wiki}${target}`, PAGE_VIEW)
        assert.ok(answer.status >= 500, answer.toString())
      }
      assert.deepEqual(service.seen, [])
    })
  }
})

describe('sites of every kind in one configuration', () => {
  const SITES = [
    ...['https://wiki.example.org', 'https://.example.org', 'https://*.example.org', 'http://.example.org:8080/app', 'http://*.example.org:8080'],
    ...['https://tools.example.net:8443/grafana', 'https://tools.example.net:8443/grafana/admin', 'http://plain.example.net:8080'],
  ]
  let files, folder
  before(async () => {
    await door.cli('application', 'create', 'every-kind', '--allow-group', 'staff', ...SITES.flatMap((site) => ['--site', site]))
    folder = temporaryFolder('every-kind')
    files = async (proxy) => {
      const options = ['--bind', '127.0.0.1', '--certificate', certificate.both, '--key', certificate.key]
      return (await door.cli('application', 'snippet', 'every-kind', '--proxy', proxy, ...options)).files
    }
  })

  for (const proxy of PROXIES.filter(({ check }) => check)) {
    test(`${proxy.name} finds nothing wrong with it`, { skip: proxy.binary ? false : proxy.missing }, async () => {
      const args = proxy.prepare({ folder, files: await files(proxy.snippet), ports: [] })
      const { status, stdout, stderr } = spawnSync(proxy.binary, proxy.check(args), { cwd: folder, encoding: 'utf8', env: { PATH: process.env.PATH, HOME: folder } })
      assert.equal(status, 0, `${stdout}\n${stderr}`.slice(-3000))
      assert.doesNotMatch(`${stdout}${stderr}`, /\[warn|WARNING/i)
    })
  }
})

describe('a proxy that Doorward was not told of', () => {
  let stranger
  before(async () => {
    stranger = await startDoorward({ env: { DOORWARD_TRUSTED_PROXIES: '192.0.2.1' } })
    await stranger.addPeople()
    await stranger.cli('application', 'create', 'wiki', '--allow-group', 'staff', '--site', `http://${HOST}`, ...RULES.flatMap((rule) => ['--rule', rule]))
  })
  after(() => stranger?.stop())

  test('is not believed: every check says no and tells the operator why', async () => {
    const original = { 'x-original-url': `http://${HOST}/public/x`, 'x-original-method': 'GET' }
    const forwarded = { 'x-forwarded-proto': 'http', 'x-forwarded-host': HOST, 'x-forwarded-uri': '/public/x', 'x-forwarded-method': 'GET' }
    for (const prefix of ['/.doorward/auth', '/outpost.goauthentik.io/auth']) {
      for (const kind of ['nginx', 'caddy', 'traefik', 'envoy/public/x']) {
        const answer = await send(`${stranger.url}${prefix}/${kind}`, { headers: { ...original, ...forwarded, host: HOST, accept: 'text/html' } })
        assert.ok(answer.status >= 400, answer.toString())
        assert.equal(answer.headers['x-doorward-username'], undefined, answer.toString())
        assert.equal(answer.location, undefined, answer.toString())
      }
    }
    assert.match(stranger.log(), /trusted_proxies|TRUSTED_PROXIES/)
  })
})
