#!/usr/bin/env node
// marugoto account: the first administrator, codes, roles; and that a city which serves keeps its store.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { startCity } from '../lib/city.mjs';
import { command } from '../lib/command.mjs';
import { test, run as runTests } from '../lib/tap.mjs';

const data = mkdtempSync(path.join(tmpdir(), 'marugoto-account-'));
const run = (...args) => command(['account', ...args, '--data', data]);
const code = /^[A-Z2-7]{5}(-[A-Z2-7]{5}){3}$/;

test('the first administrator gets a code and the address to enter it at', () => {
    const first = run('administrator', 'chief', '--name', '試験 管理者');
    assert.equal(first.code, 0, first.err);
    const [word, url] = first.out.trim().split('\n');
    assert.match(word, code);
    assert.equal(url, `http://localhost:8080/enrol#${word}`);
    // Again: the same account, another code.
    const again = run('administrator', 'Chief', '--link.public_url=https://city.example');
    assert.equal(again.code, 0, again.err);
    assert.notEqual(again.out.split('\n')[0], word);
    assert.match(again.out, /https:\/\/city\.example\/enrol#/);
});

test('codes and roles are for those who are there', () => {
    assert.equal(run('code', 'nobody').code, 1);
    assert.match(run('code', 'chief').out.split('\n')[0], code);
    assert.equal(run('role', 'give', 'chief', 'operator').code, 0);
    assert.equal(run('role', 'give', 'chief', 'Operator!').code, 1);
    assert.equal(run('role', 'take', 'chief', 'operator').code, 0);
    assert.equal(run('role', 'take', 'chief', 'operator').code, 1);
    const last = run('role', 'take', 'chief', 'administrator');
    assert.equal(last.code, 1);
    assert.match(last.err, /last administrator/);
});

test('words that are no command are told', () => {
    for (const args of [[], ['administrator'], ['code'], ['role', 'lend', 'chief', 'clerk'], ['code', 'chief', '--loud']])
        assert.equal(run(...args).code, 2);
    assert.equal(run('--help').code, 0);
    assert.equal(run('administrator', 'a b').code, 1);
});

test('a city that serves keeps its store', async () => {
    const city = await startCity({ data, store: `sqlite:${data}/city.db` });
    const refused = run('code', 'chief');
    assert.equal(refused.code, 1);
    assert.match(refused.err, /stop it/);
    await city.stop();
});

test('the log of it all holds', () => {
    const verified = command(['check', '--data', data]);
    assert.equal(verified.code, 0, verified.out);
});

await runTests(() => rmSync(data, { recursive: true, force: true }));
