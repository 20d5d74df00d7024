// kill -9 in the middle of token traffic, twenty times: what was acknowledged is kept, what was used stays used.

import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { ALICE, startDoorward } from '../lib/doorward.mjs'
import { assert, expectOAuthError, expectTokens } from '../lib/expect.mjs'
import { Visitor } from '../lib/http.mjs'
import { HandClient } from '../lib/oauth.mjs'

const ROUNDS = 20
const CHAINS = 8
const REDIRECT = 'http://127.0.0.1:9/callback'
let door, party, visitor

before(async () => {
  door = await startDoorward()
  await door.addPeople()
  const app = await door.addApplication('survivor', '--confidential', '--redirect-uri', REDIRECT, '--allow-group', 'staff')
  party = new HandClient(door, app, REDIRECT)
  visitor = new Visitor(door.url)
  await visitor.signIn(ALICE)
})
after(() => door?.stop())

/** Refreshes one chain until the connection breaks; keeps the last acknowledged token in `chain.token`. */
async function refreshOn(chain) {
  for (;;) {
    let answer
    try {
      answer = await party.refresh(chain.token)
    } catch {
      return
    }
    chain.token = expectTokens(answer).refresh_token
    chain.acknowledged += 1
  }
}

/** Redeems fresh codes until the connection breaks; remembers the acknowledged ones and the unanswered one. */
async function redeemOn(record) {
  for (;;) {
    let taken, answer
    try {
      taken = await party.code(visitor, ALICE)
      answer = await party.redeem(taken.code, taken.verifier)
    } catch (error) {
      if (/expected a code/.test(error.message)) throw error
      return
    }
    record.used.push({ ...taken, tokens: expectTokens(answer) })
  }
}

test(`${ROUNDS} kills under refresh and code traffic`, { timeout: 600_000 }, async (t) => {
  const chains = []
  for (let index = 0; index < CHAINS; index += 1) {
    chains.push({ token: (await party.tokens(visitor, ALICE)).refresh_token, acknowledged: 0 })
  }
  let usedCodes = 0
  for (let round = 1; round <= ROUNDS; round += 1) {
    await t.test(`kill ${round}`, async () => {
      const record = { used: [] }
      const traffic = [...chains.map(refreshOn), redeemOn(record)]
      await sleep(60 + Math.floor(Math.random() * 400))
      await door.kill()
      await Promise.all(traffic)
      await door.start()
      for (const chain of chains) {
        const answer = await party.refresh(chain.token)
        assert.equal(answer.status, 200, `an acknowledged refresh token is lost\n${answer}`)
        chain.token = answer.json().refresh_token
      }
      for (const used of record.used.slice(-5)) {
        assert.equal((await party.introspect(used.tokens.refresh_token)).json().active, true, 'acknowledged tokens are there')
        expectOAuthError(await party.redeem(used.code, used.verifier), 400, 'invalid_grant')
      }
      usedCodes += record.used.length
    })
  }
  const refreshes = chains.reduce((sum, chain) => sum + chain.acknowledged, 0)
  assert.ok(refreshes > ROUNDS, `there was traffic: ${refreshes} refreshes`)
  assert.ok(usedCodes > 0, `there was traffic: ${usedCodes} codes`)
})

test('after all kills the person is still signed in and the log has no panic', async () => {
  expectTokens(await party.redeem(...Object.values(await party.code(visitor, ALICE)).slice(0, 2)))
  assert.doesNotMatch(door.log(), /panicked/)
})
