#!/usr/bin/env node
// kill -9 amid code flows and revocations: what was given is good, what was revoked is not, a code that was used is
// not usable again, whether its answer arrived or not; and a proof or an assertion that was used stays used.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { startCity } from '../lib/city.mjs';
import { browser, form, makeClient, makeKey, random, sha256, startCityWithPeople } from '../lib/oidc.mjs';
import { run, test } from '../lib/tap.mjs';

const folder = mkdtempSync(path.join(tmpdir(), 'marugoto-oidc-'));
let city = await startCityWithPeople([1, 1], { data: folder });
const port = city.port, back = 'http://127.0.0.1/back';
const web = { redirect_uris: [back], sandbox: true, scope: 'openid offline_access', grant_types: ['authorization_code', 'refresh_token'], consent: 'none', token_endpoint_auth_method: 'client_secret_post' };
const rp = await makeClient(city, web);
const signer = await makeClient(city, { grant_types: ['client_credentials'] }, { key: await makeKey() });
const server = await makeClient(city, { grant_types: [], introspection: true });
const active = async (token) => (await form(city, '/oidc/introspect', { token }, server.basic())).json.active;

// One flow after the other until the city is gone; what was acknowledged goes to the books.
async function work(books, n) {
    const me = browser(city, city.people[n % 2]);
    try {
        for (;;) {
            const verifier = random(32);
            const end = await me.go(`/oidc/authorize?${new URLSearchParams({ client_id: rp.id, response_type: 'code', redirect_uri: back, scope: 'openid offline_access', code_challenge: sha256(verifier), code_challenge_method: 'S256' })}`);
            const params = { grant_type: 'authorization_code', code: end.params.get('code'), redirect_uri: back, code_verifier: verifier };
            const flow = { params, sent: true };
            books.flows.push(flow);
            const res = await rp.token(params);
            assert.equal(res.status, 200, res.text);
            flow.tokens = res.json;
            const auth = await signer.auth();
            books.assertions.push(auth);
            await form(city, '/oidc/token', { grant_type: 'client_credentials', ...auth });
            auth.acknowledged = true;
            if (books.flows.length % 2) {
                flow.revoking = true;
                const end2 = await rp.call('/oidc/revoke', { token: flow.tokens.refresh_token });
                assert.equal(end2.status, 200);
                flow.revoked = true;
            }
        }
    } catch (error) {
        if (error.code === 'ERR_ASSERTION') books.wrong = error;
    }
}

for (let round = 1; round <= 3; round++)
    test(`round ${round}`, async () => {
        const books = { flows: [], assertions: [] }, people = city.people;
        const all = [...Array(6)].map((_, n) => work(books, n));
        const enough = 25 + Math.floor(Math.random() * 20), until = Date.now() + 60000;
        while (books.flows.filter((f) => f.revoked).length < enough && !books.wrong && Date.now() < until) await new Promise((go) => setTimeout(go, 2));
        await city.kill();
        await Promise.all(all);
        assert.equal(books.wrong, undefined);
        assert.ok(books.flows.length > enough);
        city = await startCity({ data: folder, port, store: city.store });
        city.people = people;
        let given = 0;
        for (const flow of books.flows) {
            if (!flow.tokens) continue; // perhaps given, perhaps not: nobody was told
            given++;
            const good = await active(flow.tokens.access_token);
            if (flow.revoked) assert.equal(good, false, 'a revoked token is active');
            else if (!flow.revoking) assert.equal(good, true, 'a token that was given is not active');
        }
        assert.ok(given >= enough);
        for (const { acknowledged, ...auth } of books.assertions)
            if (acknowledged) assert.equal((await form(city, '/oidc/token', { grant_type: 'client_credentials', ...auth })).json.error, 'invalid_client');
        for (const flow of books.flows) { // last, because it ends what it is tried on
            const again = await rp.token(flow.params), once = again.status === 200;
            if (flow.tokens) assert.equal(once, false, 'a used code was used again');
            if (once) assert.equal((await rp.token(flow.params)).status, 400);
        }
    });

await run(async () => {
    await city.stop();
    rmSync(folder, { recursive: true, force: true });
});
