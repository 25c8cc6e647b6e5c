// card.mjs - a My Number Card of our own: authorities, certificates and the card itself, behind
// Debian's virtual reader (vsmartcard-vpcd) and a pcscd of its own.
//
//     const pki = makePki(folder);                 auth/ and sign/ as trust.card_folder wants them
//     const card = pki.card({ serial: 5 });        keys and certificates of one card
//     const reader = await startReader(folder);    throws when the daemon cannot run
//     const inside = await reader.insert(card);    the card answers APDUs until inside.remove()
//     reader.env                                   for pkcs11-tool and its kind
//
// What the emulator does is what JPKI's application on the card is described to do; it was never
// held beside a real one.
import { execFileSync, spawn } from 'node:child_process';
import { constants, createPrivateKey, privateEncrypt } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import path from 'node:path';

const arc = '1.2.392.200149.8.5.5';
const policies = { auth: '1.2.392.200149.8.5.1.3.30', sign: '1.2.392.200149.8.5.1.1.20' };
const usages = { auth: 'critical,digitalSignature', sign: 'critical,digitalSignature,nonRepudiation' };
export const person = ['丸毎 花子', '00000', '2', '319800102', '茨城県つくば市研究学園一丁目1番地1', '0000000000000000000'];

export function openssl(...args) {
    return execFileSync('openssl', args, { stdio: ['ignore', 'pipe', 'pipe'] });
}

// --- authorities and certificates, made by openssl ---

export function makePki(folder) {
    const at = (...names) => path.join(folder, ...names);
    for (const role of ['auth', 'sign']) {
        mkdirSync(at(role), { recursive: true });
        openssl('req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-keyout', at(`${role}-ca.key`), '-out', at(role, 'ca.pem'),
            '-subj', `/C=JP/O=Test of JPKI/CN=CA for ${role}`, '-days', '30', '-addext', 'keyUsage=critical,keyCertSign,cRLSign');
    }
    function issue(name, by, extensions, serial) {
        writeFileSync(at(`${name}.cnf`), extensions.join('\n'));
        openssl('req', '-new', '-newkey', 'rsa:2048', '-nodes', '-keyout', at(`${name}.key`), '-out', at(`${name}.csr`), '-subj', `/C=JP/CN=${name}`);
        openssl('x509', '-req', '-in', at(`${name}.csr`), '-CA', at(by, 'ca.pem'), '-CAkey', at(`${by}-ca.key`), '-set_serial', String(serial),
            '-days', '20', '-sha256', '-extfile', at(`${name}.cnf`), '-out', at(`${name}.pem`));
        openssl('x509', '-in', at(`${name}.pem`), '-outform', 'DER', '-out', at(`${name}.der`));
        return { key: at(`${name}.key`), pem: at(`${name}.pem`), der: readFileSync(at(`${name}.der`)) };
    }
    function card({ serial = 1000 } = {}) {
        const extensions = (role) => [`keyUsage=${usages[role]}`, `certificatePolicies=${policies[role]}`];
        const auth = issue(`auth-${serial}`, 'auth', extensions('auth'), serial);
        const sign = issue(`sign-${serial}`, 'sign', [
            ...extensions('sign'), 'subjectAltName=@items', '[items]',
            ...person.map((value, i) => `otherName.${i + 1}=${arc}.${i + 1};FORMAT:UTF8,UTF8:${value}`),
        ], serial + 1);
        return { auth, sign, ca: { auth: der(at('auth', 'ca.pem')), sign: der(at('sign', 'ca.pem')) } };
    }
    const der = (file) => openssl('x509', '-in', file, '-outform', 'DER');
    return { folder, issue, card };
}

// --- the card ---

const AID = 'd392f000260100000001';
const OK = 0x9000, NOT_FOUND = 0x6a82, NOT_ALLOWED = 0x6982, BLOCKED = 0x6984, WRONG_LENGTH = 0x6700, BEYOND = 0x6b00, UNKNOWN = 0x6d00;

export class Card {
    constructor({ auth, sign, ca }, { pin = '1234', signPin = 'ABC123' } = {}) {
        this.pins = { '0018': { pin, tries: 3, max: 3 }, '001b': { pin: signPin, tries: 5, max: 5 } };
        this.keys = {
            '0017': { key: createPrivateKey(readFileSync(auth.key)), pin: '0018' },
            '001a': { key: createPrivateKey(readFileSync(sign.key)), pin: '001b' },
        };
        this.files = {
            '0006': { bytes: Buffer.from('JPKIAPICCTOKEN2'.padEnd(32)) },
            '000a': { bytes: auth.der }, '0001': { bytes: sign.der, pin: '001b' },
            '000b': { bytes: ca.auth }, '0002': { bytes: ca.sign },
        };
        this.seen = []; // instructions, for tests
        this.reset();
    }

    reset() {
        this.selected = null;
        this.chosen = false;
        for (const pin of Object.values(this.pins)) pin.verified = false;
    }

    allowed(thing) {
        return !thing.pin || this.pins[thing.pin].verified;
    }

    select(p1, data) {
        const name = data.toString('hex');
        if (p1 === 4) {
            this.chosen = name === AID;
            return this.chosen ? OK : NOT_FOUND;
        }
        if (!this.chosen || !(name in this.files || name in this.keys || name in this.pins)) return NOT_FOUND;
        this.selected = name;
        return OK;
    }

    read(offset, length) {
        const file = this.files[this.selected];
        if (!file || !this.allowed(file)) return NOT_ALLOWED;
        return offset > file.bytes.length ? BEYOND : file.bytes.subarray(offset, offset + length);
    }

    verify(data) {
        const pin = this.pins[this.selected];
        if (!pin) return NOT_FOUND;
        if (!data.length) return 0x63c0 | pin.tries;
        if (!pin.tries) return BLOCKED;
        pin.verified = data.toString('latin1') === pin.pin;
        pin.tries = pin.verified ? pin.max : pin.tries - 1;
        return pin.verified ? OK : pin.tries ? 0x63c0 | pin.tries : BLOCKED;
    }

    sign(digestInfo) {
        const key = this.keys[this.selected];
        if (!key || !this.allowed(key)) return NOT_ALLOWED;
        return privateEncrypt({ key: key.key, padding: constants.RSA_PKCS1_PADDING }, digestInfo);
    }

    // One command; the answer with its status.
    apdu(command) {
        const [cla, ins, p1, p2] = command;
        const short = command.length <= 5; // nothing but a length of the answer, or not even that
        const n = short ? 0 : command[4];
        if (command.length < 4 || (!short && command.length < 5 + n)) return status(WRONG_LENGTH);
        const data = command.subarray(5, 5 + n);
        const length = (short ? command[4] : command[5 + n]) || 256;
        this.seen.push(ins);
        if (cla === 0 && ins === 0xa4) return status(this.select(p1, data));
        if (cla === 0 && ins === 0xb0) return status(this.read(p1 << 8 | p2, length));
        if (cla === 0 && ins === 0x20 && p2 === 0x80) return status(this.verify(data));
        if (cla === 0x80 && ins === 0x2a && p2 === 0x80) return status(this.sign(data));
        return status(UNKNOWN);
    }
}

function status(result) {
    if (typeof result !== 'number') return Buffer.concat([result, Buffer.from([0x90, 0])]);
    return Buffer.from([result >> 8, result & 0xff]);
}

const ATR = Buffer.from('3be000ff8131fe4514', 'hex');

// Frames of vpcd: two bytes of length; one byte is a control code.
function serve(socket, card) {
    let rest = Buffer.alloc(0);
    const send = (bytes) => {
        const length = Buffer.alloc(2);
        length.writeUInt16BE(bytes.length);
        socket.write(Buffer.concat([length, bytes]));
    };
    socket.on('data', (more) => {
        rest = Buffer.concat([rest, more]);
        while (rest.length >= 2 && rest.length >= 2 + rest.readUInt16BE(0)) {
            const frame = rest.subarray(2, 2 + rest.readUInt16BE(0));
            rest = rest.subarray(2 + frame.length);
            if (frame.length !== 1) send(card.apdu(frame));
            else if (frame[0] === 4) send(ATR);
            else card.reset(); // off, on, reset
        }
    });
    socket.on('error', () => {});
}

// --- the reader ---

// pcscd takes its socket from whoever starts it, as from systemd: so this one is nobody else's.
const starter = `use Socket; use POSIX; $^F = 10; my ($path, @run) = @ARGV;
socket(my $s, AF_UNIX, SOCK_STREAM, 0) or die; bind($s, pack_sockaddr_un($path)) or die; listen($s, 16) or die;
POSIX::dup2(fileno($s), 3); $ENV{LISTEN_PID} = $$; $ENV{LISTEN_FDS} = 1; exec(@run) or die "no pcscd: $!";`;

async function freePort() {
    const server = createServer();
    await new Promise((done) => server.listen(0, '127.0.0.1', done));
    const { port } = server.address();
    await new Promise((done) => server.close(done));
    return port;
}

const attempt = (port) => new Promise((done) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => done(socket));
    socket.once('error', () => done(null));
});

export async function startReader(folder) {
    const port = await freePort();
    const config = path.join(folder, 'reader.conf'), comm = path.join(folder, 'pcscd.comm'), opensc = path.join(folder, 'opensc.conf');
    writeFileSync(config, `FRIENDLYNAME "Virtual PCD"\nDEVICENAME /dev/null:0x${port.toString(16)}\nLIBPATH /usr/lib/pcsc/drivers/serial/libifdvpcd.so\nCHANNELID 0x${port.toString(16)}\n`);
    writeFileSync(opensc, 'app default {\n  card_drivers = jpki;\n  framework pkcs15 { use_file_caching = no; pin_cache_ignore_user_consent = true; }\n}\n');
    const daemon = spawn('perl', ['-e', starter, comm, '/usr/sbin/pcscd', '--foreground', '--config', config], { stdio: ['ignore', 'pipe', 'pipe'] });
    process.once('exit', () => daemon.kill('SIGKILL')); // whatever this test dies of
    let said = '';
    daemon.stdout.on('data', (text) => { said += text; });
    daemon.stderr.on('data', (text) => { said += text; });
    const ended = new Promise((done) => daemon.once('exit', done));
    for (let tries = 0; ; tries++) { // until it waits for a card
        const socket = await attempt(port);
        socket?.destroy();
        if (socket) break;
        if (daemon.exitCode !== null || tries > 300) {
            daemon.kill('SIGKILL');
            throw new Error(`pcscd does not run: ${said.trim().split('\n').at(-1)}`);
        }
        await new Promise((later) => setTimeout(later, 100));
    }
    return {
        env: { ...process.env, PCSCLITE_CSOCK_NAME: comm, OPENSC_CONF: opensc },
        async insert(files, options) {
            const card = new Card(files, options);
            let socket = null;
            for (let tries = 0; !socket && tries < 100; tries++) {
                socket = await attempt(port);
                if (!socket) await new Promise((later) => setTimeout(later, 100));
            }
            serve(socket, card);
            return { card, remove: () => socket.destroy() };
        },
        async stop() {
            daemon.kill('SIGTERM');
            const late = setTimeout(() => daemon.kill('SIGKILL'), 5000);
            await ended;
            clearTimeout(late);
        },
    };
}
