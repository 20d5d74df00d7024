// The database is away: stopped, frozen, or cut off from one replica of two. Who is known keeps passing and never waits, the
// others are told quickly, and when it returns everything goes on without a restart.
//
// E2E_OUTAGE_SECONDS   how long the first outage lasts (20)

import { createHash } from 'node:crypto'
import { after, before, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { Cluster, postgresPrograms, startWire } from '../lib/cluster.mjs'
import { ALICE, BOB, engine, startDoorward } from '../lib/doorward.mjs'
import { assert, expectStatus, expectTokens } from '../lib/expect.mjs'
import { Visitor, formsOf, send } from '../lib/http.mjs'
import { HandClient } from '../lib/oauth.mjs'
import { check, enterSite, leaveSite, steadyChecks } from '../lib/sites.mjs'

const SECONDS = Number(process.env.E2E_OUTAGE_SECONDS ?? 20)
const RATE = 200
const WIKI = 'http://wiki.example.test/'
const REDIRECT = 'http://127.0.0.1:9/callback'
/** Longest wait for a refusal while the database is away, with room for a busy machine. */
const QUICK = 3000

const missing = engine !== 'postgres' ? 'SQLite does not go away' : postgresPrograms() ? false : 'initdb is not installed'

async function within(limit, check) {
  const until = Date.now() + limit
  for (;;) {
    try {
      return await check()
    } catch (error) {
      if (Date.now() > until) throw error
      await sleep(50)
    }
  }
}

async function timed(ask) {
  const began = performance.now()
  const answer = await ask()
  return { answer, milliseconds: performance.now() - began }
}

const ready = (door) => send(`${door.url}/-/health/ready/`, { timeout: 10_000 })

async function metric(door, name) {
  const { text } = await send(`${door.url}/-/metrics`)
  const line = text.split('\n').find((one) => one.startsWith(`${name} `))
  if (!line) throw new Error(`no ${name} in the metrics`)
  return Number(line.split(' ')[1])
}

/** 503 with the reason and when to come back, told at once. */
function expectAway({ answer, milliseconds }) {
  expectStatus(answer, 503)
  assert.match(answer.headers['retry-after'] ?? '', /^\d+$/, `when to come back\n${answer}`)
  assert.ok(milliseconds < QUICK, `told after ${Math.round(milliseconds)} ms\n${answer}`)
  return answer
}

/** Somebody whose session the server has seen at the site. */
async function known(door, person) {
  const entered = await enterSite(door, WIKI, person)
  assert.ok(entered.cookie, `expected a cookie, got: ${entered.page}`)
  for (let time = 0; time < 2; time += 1) expectStatus(await check(door, WIKI, entered.cookie), 200)
  return entered
}

async function openSignIn(door) {
  const visitor = new Visitor(door.url)
  const { page } = await visitor.open('/if/user/')
  const form = formsOf(page.text).find((one) => 'password' in one.fields)
  assert.ok(form, `expected the sign-in page\n${page}`)
  const send = () => visitor.submit(page, form, { username: ALICE.username, password: ALICE.password }).then((step) => step.page)
  return { visitor, send }
}

/** Refreshes until the first answer that is no success; `chain.token` is what was acknowledged last. */
async function refreshOn(party, chain) {
  for (;;) {
    const { token } = chain
    const answer = await party.refresh(token)
    if (answer.status !== 200) {
      chain.refused = answer
      return
    }
    chain.token = expectTokens(answer).refresh_token
    chain.acknowledged += 1
  }
}

/** Signs people in until it is refused; keeps whoever got a session. */
async function signInOn(door, signedIn) {
  for (;;) {
    const visitor = new Visitor(door.url)
    const page = await visitor.signIn(BOB)
    if (page.status !== 200 || formsOf(page.text).some((form) => 'password' in form.fields)) return
    signedIn.push(visitor)
  }
}

function tell(t, name, load) {
  const { count, perSecond, p50, p99, worst } = load
  t.diagnostic(`${name}: ${count} checks, ${perSecond.toFixed(0)}/s, p50 ${p50.toFixed(1)} ms, p99 ${p99.toFixed(1)} ms, longest ${worst.toFixed(0)} ms`)
  if (process.env.E2E_OUTAGE_SECONDS) console.error(`${name}: ${count} checks, ${perSecond.toFixed(0)}/s, ${load.bad.length} failed, p50 ${p50.toFixed(1)} ms, p99 ${p99.toFixed(1)} ms, longest ${worst.toFixed(0)} ms`)
}

function expectNoFailure(load) {
  assert.deepEqual(load.bad.slice(0, 3), [], `${load.bad.length} of ${load.count} checks failed`)
  assert.ok(load.perSecond > RATE * 0.9, `only ${load.perSecond.toFixed(0)} checks/s were sent`)
  // Far above what a check takes, far below what a database takes that does not answer.
  assert.ok(load.worst < 1500, `a check of somebody known took ${load.worst.toFixed(0)} ms`)
}

describe('one server and its database', { skip: missing }, () => {
  let cluster, door, party

  before(async () => {
    cluster = await new Cluster().start()
    door = await startDoorward({ env: { DOORWARD_TRUSTED_PROXIES: '127.0.0.1' }, database: cluster.url(cluster.make('one')) })
    await door.addPeople()
    await door.cli('application', 'create', 'wiki', '--site', WIKI, '--allow-group', 'staff', '--rule', 'deny /closed/')
    const app = await door.addApplication('keeper', '--confidential', '--redirect-uri', REDIRECT, '--allow-everyone')
    party = new HandClient(door, app, REDIRECT)
    await within(5000, async () => expectStatus(await check(door, WIKI), 401))
  })
  after(async () => {
    await door?.stop()
    await cluster?.stop('fast')
  })

  /** The whole story of one outage. */
  function outage(name, { seconds, away, back }) {
    test(name, { timeout: (seconds + 180) * 1000 }, async (t) => {
      const people = []
      for (let index = 0; index < 4; index += 1) people.push(await known(door, ALICE))
      const leaving = await known(door, ALICE)
      // Has its cookie, and was never asked about: its session is not in memory.
      const unseen = await enterSite(door, WIKI, ALICE)
      const waiting = await openSignIn(door)
      const visitor = new Visitor(door.url)
      const chains = []
      for (let index = 0; index < 4; index += 1) chains.push({ token: (await party.tokens(visitor, ALICE)).refresh_token, acknowledged: 0 })
      const signedIn = []
      const awayBefore = await metric(door, 'doorward_database_away_seconds_total')

      const checks = steadyChecks(door, WIKI, people.map((one) => one.cookie), RATE)
      const writes = Promise.all([...chains.map((chain) => refreshOn(party, chain)), signInOn(door, signedIn)])
      await sleep(1500)
      const began = Date.now()
      await away()

      // What does not know yet that the database is gone finds out while it asks.
      expectAway(await timed(() => check(door, WIKI, unseen.cookie)))
      await writes
      await within(6000, async () => expectStatus(await ready(door), 503))
      await within(6000, async () => assert.equal(await metric(door, 'doorward_database_up'), 0))
      let asked = 0
      while (Date.now() - began < seconds * 1000 || asked === 0) {
        asked += 1
        const stranger = expectAway(await timed(() => check(door, WIKI, unseen.cookie)))
        assert.equal(stranger.headers['x-doorward-reason'], 'unavailable')
        const health = await timed(() => ready(door))
        expectStatus(health.answer, 503)
        assert.equal(health.answer.json().ready, false)
        assert.match(health.answer.json().reason ?? '', /\w{3}/, health.answer.toString())
        assert.ok(health.milliseconds < QUICK, `readiness took ${health.milliseconds} ms`)
        assert.ok(!health.answer.text.includes(cluster.password))
        const page = expectAway(await timed(() => waiting.send()))
        assert.match(page.text, /database/i, `the reason\n${page}`)
        expectAway(await timed(async () => (await new Visitor(door.url).open('/if/user/')).page))
        expectAway(await timed(() => party.refresh(chains[0].token)))
        expectStatus(await check(door, WIKI), 401)
        // A refusal is a refusal, also when nobody can write it down.
        const closed = await timed(() => check(door, `${WIKI}closed/`, people[0].cookie))
        expectStatus(closed.answer, 403)
        assert.ok(closed.milliseconds < QUICK, `refused after ${closed.milliseconds} ms`)
        expectStatus(await send(`${door.url}/-/health/live/`), 200)
        await sleep(500)
      }
      const lasted = (Date.now() - began) / 1000
      const counted = (await metric(door, 'doorward_database_away_seconds_total')) - awayBefore
      assert.ok(counted > lasted - 6 && counted < lasted + 2, `away for ${lasted} s, counted ${counted} s`)

      await back()
      await within(8000, async () => expectStatus(await ready(door), 200))
      await within(2000, async () => assert.equal(await metric(door, 'doorward_database_up'), 1))
      await within(3000, async () => expectStatus(await check(door, WIKI, unseen.cookie), 200))
      // What was open goes on.
      const page = await waiting.send()
      assert.ok(page.status === 200 && !formsOf(page.text).some((form) => 'password' in form.fields), page.toString())
      await known(door, ALICE)
      // Signing out ends access on the next request.
      await leaveSite(door, WIKI, leaving)
      expectStatus(await check(door, WIKI, leaving.cookie), 401)
      // No acknowledged write is lost.
      for (const chain of chains) {
        const digest = createHash('sha256').update(chain.token).digest('hex')
        const used = cluster.ask(`SELECT used_at IS NOT NULL FROM refresh_tokens WHERE digest = '\\x${digest}'`, 'one')
        assert.notEqual(used, '', `an acknowledged refresh token is lost after ${chain.acknowledged}, then: ${chain.refused}`)
        // Of the exchange that was under way nobody was told how it ended: it may have taken effect, even when the database thawed.
        expectStatus(chain.refused, 503)
        if (used === 't') continue
        assert.equal((await party.introspect(chain.token)).json().active, true)
        expectTokens(await party.refresh(chain.token))
      }
      for (const one of signedIn) {
        const { page: portal } = await one.open('/if/user/')
        assert.ok(!formsOf(portal.text).some((form) => 'password' in form.fields), `an acknowledged sign-in is lost\n${portal}`)
      }
      await sleep(1000)
      const load = await checks.stop()
      tell(t, `${name}, ${lasted.toFixed(0)} s`, load)
      expectNoFailure(load)
      assert.ok(chains.every((chain) => chain.acknowledged > 0), 'there were writes before the outage')
      assert.doesNotMatch(door.log(), /panicked/)
    })
  }

  outage('stopped in order', { seconds: SECONDS, away: () => cluster.stop('fast'), back: () => cluster.resume() })
  outage('stopped as by a power cut', { seconds: Math.min(SECONDS, 6), away: () => cluster.stop('immediate'), back: () => cluster.resume() })
  outage('frozen: connections stay open and nothing answers', { seconds: Math.min(SECONDS, 10), away: () => cluster.freeze(), back: () => cluster.thaw() })
})

describe('two replicas, one of them cut off', { skip: missing }, () => {
  let cluster, wire, whole, lonely

  before(async () => {
    cluster = await new Cluster().start()
    wire = await startWire(cluster.port)
    const database = cluster.make('two')
    const env = { DOORWARD_TRUSTED_PROXIES: '127.0.0.1' }
    whole = await startDoorward({ env, database: cluster.url(database) })
    lonely = await startDoorward({ env, database: cluster.url(database, wire.port), start: false })
    // Replicas share the key outside of the database and the public address.
    for (const name of ['DOORWARD_DATA_DIR', 'DOORWARD_PUBLIC_URL']) lonely.env[name] = whole.env[name]
    await lonely.start()
    await whole.addPeople()
    await whole.cli('application', 'create', 'wiki', '--site', WIKI, '--allow-group', 'staff')
    for (const door of [whole, lonely]) await within(5000, async () => expectStatus(await check(door, WIKI), 401))
  })
  after(async () => {
    await lonely?.stop()
    await whole?.stop()
    await wire?.cut()
    await cluster?.stop('fast')
  })

  function separation(name, { away, back, notice }) {
    test(name, { timeout: 120_000 }, async (t) => {
      const staying = await known(whole, ALICE)
      const leaving = await known(whole, ALICE)
      for (const one of [staying, leaving]) expectStatus(await check(lonely, WIKI, one.cookie), 200)
      const checks = steadyChecks(lonely, WIKI, [staying.cookie], RATE)
      await sleep(500)
      await away()
      await within(notice, async () => expectStatus(await ready(lonely), 503))
      expectStatus(await ready(whole), 200)

      // Life goes on at the other one.
      await leaveSite(whole, WIKI, leaving)
      expectStatus(await check(whole, WIKI, leaving.cookie), 401)
      const newcomer = await known(whole, ALICE)
      expectAway(await timed(() => check(lonely, WIKI, newcomer.cookie)))
      // Nobody can have told it.
      expectStatus(await check(lonely, WIKI, leaving.cookie), 200)
      await sleep(4000)
      expectAway(await timed(() => check(lonely, WIKI, newcomer.cookie)))
      expectStatus(await ready(lonely), 503)

      await back()
      const { milliseconds } = await timed(() => within(2500, async () => expectStatus(await check(lonely, WIKI, leaving.cookie), 401)))
      expectStatus(await within(1500, async () => expectStatus(await check(lonely, WIKI, newcomer.cookie), 200)), 200)
      await within(3000, async () => expectStatus(await ready(lonely), 200))
      const load = await checks.stop()
      tell(t, `${name}: the ended session was known as ended after ${milliseconds.toFixed(0)} ms`, load)
      expectNoFailure(load)
    })
  }

  separation('the connections are broken', { away: () => wire.cut(), back: () => wire.join(), notice: 4000 })
  separation('nothing passes any more', { away: () => wire.hold(), back: () => wire.release(), notice: 6000 })
})
