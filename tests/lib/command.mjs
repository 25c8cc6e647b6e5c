// command.mjs - one run of the program, waited for.
//
//     const { code, out, err } = command(['check', '--data', dir]);
import { spawn, spawnSync } from 'node:child_process';
import { bin } from './city.mjs';

export function command(args, { env = {}, input } = {}) {
    const run = spawnSync(bin, args, { env: { ...process.env, ...env }, input, encoding: 'utf8', timeout: 60000 });
    return { code: run.status, signal: run.signal, out: run.stdout, err: run.stderr };
}

// The same without blocking this process: for runs beside a server that this process talks to.
export function commandLater(args, { env = {} } = {}) {
    return new Promise((done) => {
        const child = spawn(bin, args, { env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
        let out = '', err = '';
        child.stdout.on('data', (text) => { out += text; });
        child.stderr.on('data', (text) => { err += text; });
        child.once('exit', (code, signal) => done({ code, signal, out, err }));
    });
}
