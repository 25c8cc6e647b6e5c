#!/usr/bin/env node
// Consents over HTTP: the catalogue for whoever manages the city, asking people, their answers, receipts that npm
// jose verifies, decisions for recipients; what none of them may do; kill -9 never yields a permit after a withdrawal.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import * as jose from 'jose';
import { startCity } from '../lib/city.mjs';
import { browser, makeClient, makeKey, proof, random, sha256, startCityWithPeople } from '../lib/oidc.mjs';
import { run, test } from '../lib/tap.mjs';

const folder = mkdtempSync(path.join(tmpdir(), 'marugoto-consent-'));
let city = await startCityWithPeople([4 + 16, 1], { data: folder }); // a passkey; a password
const [hanako, taro] = city.people, { port } = city, back = 'http://127.0.0.1/back';
const metadata = { redirect_uris: [back], sandbox: true, scope: 'openid consent:request consent:decide', grant_types: ['authorization_code', 'client_credentials'], consent: 'none', profile: 'fapi2', dpop_bound_access_tokens: true };
const make = async (id, sector) => makeClient(city, { ...metadata, client_id: id, sector_identifier: sector }, { key: await makeKey(), dpopKey: await makeKey() });
const hospital = await make('hospital', 'hospital.example'), insurer = await make('insurer', 'insurer.example');
const soon = () => new Date(Date.now() + 86400000).toISOString();

// A request with a body, a token and its proof.
async function call(rp, target, token, body) {
    for (let turn = 0; ; turn++) {
        const shown = await proof(rp.dpopKey, { htu: city.url + target, nonce: rp.nonce, token });
        const res = await city.post(target, body, { headers: { Authorization: `DPoP ${token}`, DPoP: shown } });
        rp.nonce = res.headers.get('dpop-nonce') ?? rp.nonce;
        if (turn || !/use_dpop_nonce/.test(res.headers.get('www-authenticate') ?? '')) return res;
    }
}
async function tokenOf(rp, scope) {
    const res = await rp.token({ grant_type: 'client_credentials', scope });
    assert.equal(res.status, 200, res.text);
    return res.json.access_token;
}
// Who a client knows a person as: they sign in there once.
async function subOf(rp, person) {
    const verifier = random(32);
    const pushed = await rp.call('/oidc/par', { client_id: rp.id, response_type: 'code', redirect_uri: back, scope: 'openid', code_challenge: sha256(verifier), code_challenge_method: 'S256' });
    assert.equal(pushed.status, 201, pushed.text);
    const end = await browser(city, person).go(`/oidc/authorize?${new URLSearchParams({ client_id: rp.id, request_uri: pushed.json.request_uri })}`);
    const res = await rp.token({ grant_type: 'authorization_code', code: end.params.get('code'), redirect_uri: back, code_verifier: verifier });
    assert.equal(res.status, 200, res.text);
    return jose.decodeJwt(res.json.id_token).sub;
}
const put = (kind, code, body) => city.put(`/trust/v1/catalogue/${kind}/${code}`, body);
const as = (person) => ({ headers: { Cookie: `session=${person.cookie}` } });
const mine = (person, target = '') => city.get(`/trust/v1/my/consents${target}`, as(person).headers);
async function answer(person, id, what, over = {}) {
    const { json } = await mine(person, `/${id}?lang=en`);
    return city.post(`/trust/v1/my/consents/${id}`, { answer: what, lang: 'en', notice: json?.notice, token: json?.token, ...over }, as(person));
}
const title = { ja: '名前', en: 'Name' }, text = { ja: '説明', en: 'Why we ask' };
let request, decide, subject, farSubject;
const ask = async (sub, over = {}) => {
    const res = await call(hospital, '/trust/v1/consents', request, { sub, purposes: ['care'], categories: ['medication'], until: soon(), ...over });
    assert.equal(res.status, 201, res.text);
    return res.json.id;
};
const decision = async (over = {}, rp = hospital, token = decide) => {
    const res = await call(rp, '/trust/v1/decisions', token, { sub: subject, purpose: 'care', categories: ['medication'], ...over });
    return { status: res.status, text: res.text, ...(res.json?.items?.[0] ?? {}), items: res.json?.items };
};

test('the catalogue is kept version by version, by whoever manages the city', async () => {
    for (const [kind, code, body] of [['owners', 'pharmacies', { title }], ['data-sets', 'notebook', { title, owner: 'pharmacies' }],
        ['categories', 'medication', { title, data_set: 'notebook', sensitive: true, fields: ['name', 'dose', 'doctor'] }],
        ['purposes', 'care', { title, text, iri: 'https://w3id.org/dpv#ServiceProvision' }], ['purposes', 'rounds', { title, text, parent: 'care' }], ['purposes', 'research', { title, text }],
        ['recipients', 'hospital', { title }], ['recipients', 'insurer', { title }],
        ['rules', 'no-doctor', { owner: 'pharmacies', recipients: '*', categories: ['medication'], fields: ['name', 'dose'] }]]) {
        const res = await put(kind, code, body);
        assert.equal(res.status, 201, `${kind} ${code}: ${res.text}`);
        assert.equal(res.json.version, 1);
    }
    assert.equal((await put('owners', 'pharmacies', { title: { ja: '薬局' } })).json.version, 2);
    const { json } = await city.get('/trust/v1/catalogue/owners/pharmacies');
    assert.deepEqual(json.map((x) => [x.version, x.entry.title.ja]), [[1, '名前'], [2, '薬局']]);
    assert.equal((await city.get('/trust/v1/catalogue/purposes')).json.length, 3);
    assert.equal((await put('owners', 'x', { title: 'x' })).status, 400);
    assert.equal((await put('nonsense', 'x', { title })).status, 404);
    for (const bad of ['a%20b', 'a%3Ab']) assert.equal((await city.get(`/trust/v1/catalogue/owners/${bad}`)).status, 400);
    assert.equal((await put('categories', 'medication', { title, data_set: 'notebook', sensitive: true, fields: ['name', 'dose', 'doctor', 'price'] })).status, 409);
    const far = { headers: { 'X-Forwarded-For': '203.0.113.9' } };
    for (const res of [await city.request('PUT', '/trust/v1/catalogue/owners/x', { body: { title }, ...far }), await city.request('GET', '/trust/v1/catalogue/owners', far)])
        assert.equal(res.status, 403);
    const named = json[0];
    const logged = await city.get(`/log/v1/entries/${named.log_entry}`);
    assert.ok(logged.status === 200 || logged.status === 404, logged.text); // its head may not be signed yet
});

test('scopes about people are for clients under FAPI 2.0', async () => {
    const res = await city.post('/trust/v1/clients', { client_name: 'x', grant_types: ['client_credentials'], scope: 'consent:decide' });
    assert.equal(res.status, 400);
    assert.match(res.json.detail, /fapi2/);
});

test('a person is asked, is shown what it is, and gives it', async () => {
    request = await tokenOf(hospital, 'consent:request');
    decide = await tokenOf(hospital, 'consent:decide');
    [subject, farSubject] = [await subOf(hospital, hanako), await subOf(insurer, hanako)];
    assert.notEqual(subject, farSubject);
    assert.equal((await decision()).reason, 'no-consent');
    const id = await ask(subject);
    assert.equal((await decision()).reason, 'no-consent');
    const { status, json } = await mine(hanako, `/${id}?lang=en`);
    assert.equal(status, 200);
    assert.equal(json.state, 'requested');
    const shown = JSON.parse(json.shown);
    assert.deepEqual([shown.purposes[0].text, shown.categories[0].sensitive, shown.recipient.title], ['Why we ask', true, 'Name']);
    assert.equal(createHash('sha256').update(json.shown).digest('base64url'), json.notice);
    assert.equal((await answer(hanako, id, 'give', { token: 'x' })).status, 403);
    assert.equal((await answer(hanako, id, 'give', { notice: 'x' })).status, 409);
    assert.equal((await answer(hanako, id, 'give', { lang: 'ja' })).status, 409);
    assert.equal((await answer(hanako, id, 'perhaps')).status, 400);
    assert.equal((await decision()).decision, 'deny');
    const given = await answer(hanako, id, 'give');
    assert.equal(given.status, 200, given.text);
    const { decision: yes, basis, record, fields, duties } = await decision();
    assert.deepEqual([yes, basis, record, fields, duties], ['permit', 'consent', id, ['name', 'dose'], ['log']]);
    assert.equal((await mine(hanako)).json.length, 1);
});

test('what was agreed to is not more: other purposes, categories, recipients, people', async () => {
    assert.equal((await decision({ purpose: 'rounds' })).decision, 'permit'); // a part of it
    assert.equal((await decision({ purpose: 'research' })).reason, 'no-consent');
    assert.equal((await decision({ purpose: 'nonsense' })).reason, 'unknown-purpose');
    const two = await decision({ categories: ['medication', 'nonsense'] });
    assert.deepEqual(two.items.map((x) => x.reason), ['permitted', 'unknown-category']);
    const theirs = await tokenOf(insurer, 'consent:decide');
    assert.equal((await decision({ sub: farSubject }, insurer, theirs)).reason, 'no-consent');
    // Another client's name for the same person, the city's own number, nobody.
    for (const sub of [subject, String(hanako.account), 'nobody', '', `${farSubject}\0`])
        assert.equal((await decision({ sub }, insurer, theirs)).status, 404, sub);
    for (const sub of [farSubject, String(hanako.account)]) assert.equal((await decision({ sub })).status, 404);
    assert.equal((await decision({ sub: hanako.account })).status, 400);
});

test('tokens: another scope, none, another client\'s key', async () => {
    assert.equal((await decision({}, hospital, request)).status, 403);
    assert.equal((await call(hospital, '/trust/v1/consents', decide, { sub: subject, purposes: ['care'], categories: ['medication'], until: soon() })).status, 403);
    const none = await city.post('/trust/v1/decisions', { sub: subject, purpose: 'care', categories: ['medication'] });
    assert.equal(none.status, 401);
    assert.match(none.headers.get('www-authenticate'), /^Bearer/);
    assert.equal((await decision({}, insurer, decide)).status, 401);
    assert.equal((await decision({ categories: [] })).status, 400);
});

test('one\'s own only: somebody else sees, answers and takes away nothing', async () => {
    const [{ id }] = (await mine(hanako)).json;
    assert.equal((await mine(taro)).json.length, 0);
    for (const other of [id, `${id}%20`, 'nobody']) assert.equal((await mine(taro, `/${other}`)).status, 404);
    assert.equal((await mine(hanako, `/${id}%20`)).status, 404);
    assert.equal((await mine(taro, `/${id}/receipt`)).status, 404);
    const { json } = await mine(hanako, `/${id}?lang=en`);
    const stolen = await city.post(`/trust/v1/my/consents/${id}`, { answer: 'withdraw', lang: 'en', notice: json.notice, token: json.token }, as(taro));
    assert.equal(stolen.status, 403);
    assert.equal((await city.get('/trust/v1/my/consents')).status, 401);
    assert.equal((await decision()).decision, 'permit');
});

test('the receipt verifies with npm jose and the published keys; FHIR says the same', async () => {
    const [{ id }] = (await mine(hanako)).json;
    const res = await mine(hanako, `/${id}/receipt`);
    assert.equal(res.headers.get('content-type'), 'application/jwt');
    const keys = jose.createLocalJWKSet((await city.get('/oidc/jwks')).json);
    const { payload, protectedHeader } = await jose.jwtVerify(res.text, keys, { issuer: city.url, typ: 'consent-receipt+jwt', algorithms: ['ES256'] });
    assert.ok(protectedHeader.kid);
    assert.deepEqual([payload.header.record_id, payload.header.pii_principal_id], [id, subject]);
    assert.equal(payload.pii_processing.purposes[0].lawful_basis, 'https://w3id.org/dpv#Consent');
    assert.equal(payload.pii_processing.purposes[0].purpose_type, 'https://w3id.org/dpv#ServiceProvision');
    assert.equal(payload.pii_processing.pii_information[0].sensitive_pii_category, true);
    assert.deepEqual(payload.events.map((x) => x.event_state), ['https://w3id.org/dpv#ConsentRequested', 'https://w3id.org/dpv#ConsentGiven']);
    assert.equal(payload.events[1].acr, 'aal2');
    const forged = res.text.split('.');
    forged[1] = Buffer.from(JSON.stringify({ ...payload, header: { record_id: 'x' } })).toString('base64url');
    await assert.rejects(jose.jwtVerify(forged.join('.'), keys));
    const { json: fhir, headers } = await mine(hanako, `/${id}/receipt?format=fhir`);
    assert.equal(headers.get('content-type'), 'application/fhir+json');
    assert.deepEqual([fhir.resourceType, fhir.status, fhir.provision.type, fhir.patient.identifier.value], ['Consent', 'active', 'permit', subject]);
    assert.equal(fhir.provision.actor[0].reference.identifier.value, 'hospital');
    assert.equal(fhir.provision.class[0].code, 'medication');
    assert.equal(fhir.provision.securityLabel[0].code, 'R');
});

test('withdrawn it denies at once, refused too; a reader\'s sign-in is asked for', async () => {
    const [{ id }] = (await mine(hanako)).json;
    assert.equal((await answer(hanako, id, 'withdraw')).status, 200);
    assert.equal((await decision()).reason, 'withdrawn');
    assert.equal((await answer(hanako, id, 'give')).status, 409);
    assert.equal((await mine(hanako, `/${id}/receipt?format=fhir`)).json.status, 'inactive');
    const strict = await ask(subject, { acr: 'aal2' });
    assert.equal((await answer(hanako, strict, 'give')).status, 200);
    const low = await decision();
    assert.deepEqual([low.reason, low.acr], ['acr-too-low', 'aal2']);
    const no = await ask(subject);
    assert.equal((await answer(hanako, no, 'refuse')).status, 200);
    assert.equal((await decision()).reason, 'subject-denies');
    for (const bad of [{ until: '2020-01-01T00:00:00Z' }, { until: 'soon' }, { until: undefined }, { purposes: ['nonsense'] }, { purposes: [] }, { categories: ['medication', 'medication'] }, { acr: 'aal9' }])
        assert.equal((await call(hospital, '/trust/v1/consents', request, { sub: subject, purposes: ['care'], categories: ['medication'], until: soon(), ...bad })).status, 400, JSON.stringify(bad));
});

// Consents are given and withdrawn until the city is gone.
async function work(books) {
    try {
        for (;;) {
            const id = await ask(subject);
            assert.equal((await answer(hanako, id, 'give')).status, 200);
            books.given = id;
            books.sent = id;
            assert.equal((await answer(hanako, id, 'withdraw')).status, 200);
            books.withdrawn.push(id);
        }
    } catch (error) {
        if (error.code === 'ERR_ASSERTION') books.wrong = error;
    }
}

for (let round = 1; round <= 3; round++)
    test(`kill -9, round ${round}: what was withdrawn permits nothing afterwards`, async () => {
        const books = { withdrawn: [] }, working = work(books), until = Date.now() + 60000;
        const enough = 3 + Math.floor(Math.random() * 5);
        while (books.withdrawn.length < enough && !books.wrong && Date.now() < until) await new Promise((go) => setTimeout(go, 2));
        await city.kill();
        await working;
        assert.equal(books.wrong, undefined);
        assert.ok(books.withdrawn.length >= enough);
        city = await startCity({ data: folder, port, store: city.store });
        const states = Object.fromEntries((await mine(hanako)).json.map((x) => [x.id, x.state]));
        for (const id of books.withdrawn) assert.equal(states[id], 'withdrawn');
        const now = await decision();
        if (now.decision === 'permit') assert.ok(!books.withdrawn.includes(now.record));
        const open = Object.entries(states).filter(([, state]) => state === 'given');
        for (const [id] of open) assert.equal((await answer(hanako, id, 'withdraw')).status, 200);
        assert.equal((await decision()).decision, 'deny');
    });

await run(async () => {
    await city.stop();
    rmSync(folder, { recursive: true, force: true });
});
