// Reverse-proxy mode: doorward itself stands in front of a service that says what reached it.

import { after, before, describe, test } from 'node:test'
import http from 'node:http'
import http2 from 'node:http2'
import { setTimeout as sleep } from 'node:timers/promises'
import { ALICE, BOB, startDoorward } from '../lib/doorward.mjs'
import { assert, expectStatus } from '../lib/expect.mjs'
import { Jar, send } from '../lib/http.mjs'
import { openSocket, sendRaw, startService, walkAcross } from '../lib/proxies.mjs'

const HOST = 'wiki.example.test'
const CODE = /\bDW-[0-9A-Z]+(?:-[0-9A-Z]+)*\b/

let door, service, wiki, alice

const last = () => service.seen.at(-1)
const values = (entry, name) => entry.raw.filter((_, index) => index % 2 && entry.raw[index - 1].toLowerCase() === name)

before(async () => {
  door = await startDoorward()
  service = await startService()
  await door.addPeople()
  wiki = `http://${HOST}:${door.port}`
  const site = ['--site', `http://${HOST}`, '--upstream', `http://${service.address}`]
  await door.cli('application', 'create', 'wiki', '--name', 'Wiki', '--allow-group', 'staff', ...site, '--rule', 'public /public/', '--rule', 'deny /closed/', '--remote-headers', 'on')
  await sleep(2500) // the running server sees what the command line did
  alice = new Jar()
  await walkAcross(alice, `${wiki}/`, ALICE)
})
after(async () => {
  await service?.close()
  await door?.stop()
})

describe('doorward in front of a service', () => {
  test('a stranger signs in and is back at the wanted page; the service is told who came', async () => {
    const jar = new Jar()
    const { answer, way } = await walkAcross(jar, `${wiki}/deep/page?a=b&c=%20d`, ALICE)
    assert.equal(answer.status, 200, way.join('\n'))
    assert.equal(last().url, '/deep/page?a=b&c=%20d')
    assert.deepEqual(values(last(), 'x-doorward-username'), ['alice'])
    assert.deepEqual(values(last(), 'remote-user'), ['alice'])
    assert.deepEqual(values(last(), 'host'), [`${HOST}:${door.port}`])
    assert.doesNotMatch(last().headers.cookie ?? '', /doorward/, 'our cookies are not for the service')
    assert.equal(last().headers['x-forwarded-proto'], 'http')
  })

  test('the service keeps its own cookies, and its answers pass as they are', async () => {
    const cookie = `${alice.header(`${wiki}/`)}; theirs=a+b/c=`
    const answer = expectStatus(await send(`${wiki}/status/404`, { headers: { cookie } }), 404)
    assert.equal(answer.headers['x-service'], 'yes')
    assert.equal(answer.headers['x-frame-options'], undefined, answer.toString())
    assert.equal(last().headers.cookie, 'theirs=a+b/c=')
  })

  test('bodies arrive as they were sent, and streams come as they are made', async () => {
    const body = 'Ä'.repeat(400_000)
    expectStatus(await send(`${wiki}/save`, { jar: alice, method: 'POST', body, headers: { 'content-type': 'text/plain' } }), 200)
    assert.ok(last().body === body)
    const first = await new Promise((resolve, reject) => {
      const request = http.get({ host: '127.0.0.1', port: door.port, path: '/stream', headers: { host: `${HOST}:${door.port}`, cookie: alice.header(`${wiki}/`) } }, (response) => {
        response.once('data', (chunk) => {
          resolve(chunk.toString())
          response.destroy()
        })
      })
      request.on('error', reject)
    })
    assert.equal(first, 'data: 1\n\n', 'the first event came alone, not with the last')
  })

  test('a WebSocket works for those who are in, and is refused to strangers', async () => {
    const refused = await openSocket(`${wiki}/live`, { origin: wiki })
    assert.equal(refused.status, 401)
    const socket = await openSocket(`${wiki}/live`, { cookie: alice.header(`${wiki}/`), origin: wiki })
    assert.equal(socket.status, 101)
    assert.equal(await socket.say('one'), 'echo one')
    assert.deepEqual(values(last(), 'x-doorward-username'), ['alice'])
    socket.close()
  })

  test('forged identity headers never reach the service, on guarded and public paths', async () => {
    for (const [target, cookie] of [['/x', alice.header(`${wiki}/`)], ['/public/x', undefined]]) {
      const forged = ['X-Doorward-Username', 'x-doorward-groups', 'X_Doorward_Username', 'X-authentik-username', 'Remote-User', 'REMOTE_USER', 'X-Doorward-Jwt']
      const head = [`GET ${target} HTTP/1.1`, `Host: ${HOST}:${door.port}`, ...(cookie ? [`Cookie: ${cookie}`] : []), ...forged.map((name) => `${name}: forged`), 'Connection: close']
      service.seen.length = 0
      const answer = await sendRaw(door.port, `${head.join('\r\n')}\r\n\r\n`)
      assert.equal(answer.status, 200, answer.text)
      assert.doesNotMatch(JSON.stringify(last().raw), /forged/)
      assert.deepEqual(values(last(), 'x-doorward-username'), [cookie ? 'alice' : ''])
    }
  })

  test('rules hold: nobody for /closed, by every spelling; bob is not in the audience and gets a code', async () => {
    service.seen.length = 0
    for (const target of ['/closed/x', '/public/../closed/x', '/%63losed/x', '/public/..%2fclosed/x', '//closed/x']) {
      const answer = await sendRaw(door.port, `GET ${target} HTTP/1.1\r\nHost: ${HOST}:${door.port}\r\nCookie: ${alice.header(`${wiki}/`)}\r\nConnection: close\r\n\r\n`)
      assert.equal(answer.status, 403, `${target}\n${answer.text}`)
    }
    const { answer } = await walkAcross(new Jar(), `${wiki}/plans`, BOB)
    assert.equal(answer.status, 403, answer.toString())
    const code = answer.text.match(CODE)?.[0]
    assert.equal((await door.run(['explain', code])).status, 0)
    assert.deepEqual(service.seen, [])
  })

  test('what is no page view gets 401, a host without a site gets no service', async () => {
    service.seen.length = 0
    expectStatus(await send(`${wiki}/api`, { headers: { accept: 'application/json' } }), 401)
    expectStatus(await send(`${wiki}/save`, { method: 'POST', body: 'x' }), 401)
    const other = await sendRaw(door.port, `GET / HTTP/1.1\r\nHost: other.example.test:${door.port}\r\nConnection: close\r\n\r\n`)
    assert.ok(other.status < 500, other.text)
    assert.deepEqual(service.seen, [])
  })

  test('an app password lets a program in, and stays here', async () => {
    const made = await door.cli('user', 'app-password', 'create', 'alice', '--name', 'Scraper')
    const basic = `Basic ${Buffer.from(`alice:${made.secret}`).toString('base64')}`
    for (const authorization of [basic, `Bearer ${made.secret}`]) {
      expectStatus(await send(`${wiki}/api`, { headers: { authorization } }), 200)
      assert.deepEqual(values(last(), 'x-doorward-username'), ['alice'])
      assert.equal(last().headers.authorization, undefined)
    }
    expectStatus(await send(`${wiki}/api`, { headers: { authorization: 'Bearer dwq_nothing' } }), 401)
  })

  test('an HTTP/2 service without TLS is spoken to as such', async () => {
    const server = http2.createServer()
    const heard = []
    server.on('stream', (stream, headers) => {
      heard.push(headers)
      stream.respond({ ':status': 200, 'content-type': 'text/plain' })
      stream.end('over two')
    })
    await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
    await door.cli('application', 'create', 'two', '--allow-everyone', '--site', 'http://two.example.test', '--upstream', `h2c://127.0.0.1:${server.address().port}`)
    await sleep(2500)
    const { answer, way } = await walkAcross(alice, `http://two.example.test:${door.port}/page`, ALICE)
    assert.equal(answer.text, 'over two', way.join('\n'))
    assert.equal(heard[0]['x-doorward-username'], 'alice')
    server.close()
    server.unref()
  })

  test('a service that is gone gets a page with a code and no address', async () => {
    await door.cli('application', 'create', 'gone', '--allow-everyone', '--site', 'http://gone.example.test', '--upstream', 'http://127.0.0.1:9')
    await sleep(2500)
    const { answer } = await walkAcross(alice, `http://gone.example.test:${door.port}/`, ALICE)
    assert.equal(answer.status, 502, answer.toString())
    assert.match(answer.text, CODE)
    assert.doesNotMatch(answer.text, /127\.0\.0\.1:9\b/)
  })

  test('signing out at the site ends access at the next request', async () => {
    const jar = new Jar()
    await walkAcross(jar, `${wiki}/`, ALICE)
    const kept = jar.header(`${wiki}/`)
    expectStatus(await send(`${wiki}/x`, { headers: { cookie: kept } }), 200)
    await walkAcross(jar, `${wiki}/.doorward/sign_out`)
    expectStatus(await send(`${wiki}/x`, { headers: { cookie: kept, accept: 'application/json' } }), 401)
  })
})
