#!/usr/bin/env python3
"""Checks the archive's test vectors with code that shares nothing with Sealpost.

Written from docs/archive-format.md, RFC 9496 and RFC 9380 alone, slow and not constant-time: it is for checking, never
for keys. It covers everything but HPKE. It needs python3-cryptography, and openssl for the CMS parts. Run it from anywhere:

    python3 archive/record/testdata/independent.py
"""
import hashlib
import json
import pathlib
import struct
import subprocess
import tempfile

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

# --- ristretto255 (RFC 9496) ------------------------------------------------------------------------------------------

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P
SQRT_M1 = pow(2, (P - 1) // 4, P)
SQRT_AD_MINUS_ONE = 25063068953384623474111414158702152701244531502492656460079210482610430750235
ONE_MINUS_D_SQ = (1 - D * D) % P
D_MINUS_ONE_SQ = (D - 1) ** 2 % P


def absolute(x):
    return -x % P if x & 1 else x


def sqrt_ratio(u, v):
    r = u * pow(v, 3, P) * pow(u * pow(v, 7, P), (P - 5) // 8, P) % P
    check = v * r * r % P
    flipped = check == -u % P
    if flipped or check == -u * SQRT_M1 % P:
        r = r * SQRT_M1 % P
    return check == u % P or flipped, absolute(r)


INVSQRT_A_MINUS_D = sqrt_ratio(1, -1 - D)[1]


class Point:
    def __init__(self, x, y, z, t):
        self.x, self.y, self.z, self.t = x, y, z, t

    def __add__(a, b):
        m, n = (a.y - a.x) * (b.y - b.x), (a.y + a.x) * (b.y + b.x)
        c, d = 2 * D * a.t * b.t, 2 * a.z * b.z
        e, f, g, h = n - m, d - c, d + c, n + m
        return Point(e * f % P, g * h % P, f * g % P, e * h % P)

    def __rmul__(self, k):
        k, r, q = k % L, IDENTITY, self
        while k:
            if k & 1:
                r = r + q
            q, k = q + q, k >> 1
        return r

    def encode(self):
        u1, u2 = (self.z + self.y) * (self.z - self.y) % P, self.x * self.y % P
        inv = sqrt_ratio(1, u1 * u2 * u2)[1]
        den1, den2 = inv * u1 % P, inv * u2 % P
        z_inv = den1 * den2 * self.t % P
        if self.t * z_inv % P & 1:
            x, y, den = self.y * SQRT_M1 % P, self.x * SQRT_M1 % P, den1 * INVSQRT_A_MINUS_D % P
        else:
            x, y, den = self.x, self.y, den2
        if x * z_inv % P & 1:
            y = -y % P
        return absolute(den * (self.z - y) % P).to_bytes(32, "little")


IDENTITY = Point(0, 1, 1, 0)


def point(b):
    s = int.from_bytes(b, "little")
    if len(b) != 32 or s >= P or s & 1 or s == 0:
        raise ValueError("not a canonical point, or the identity")
    u1, u2 = (1 - s * s) % P, (1 + s * s) % P
    v = (-D * u1 * u1 - u2 * u2) % P
    square, inv = sqrt_ratio(1, v * u2 * u2)
    x = absolute(2 * s * inv * u2 % P)
    y = u1 * inv * inv * u2 * v % P
    t = x * y % P
    if not square or t & 1 or y == 0:
        raise ValueError("not a canonical point")
    return Point(x, y, 1, t)


def scalar(b):
    s = int.from_bytes(b, "little")
    if len(b) != 32 or s >= L or s == 0:
        raise ValueError("not a canonical scalar, or zero")
    return s


def encode_scalar(s):
    return (s % L).to_bytes(32, "little")


def one_way_map(b):
    t = int.from_bytes(b, "little") % 2**255 % P
    r = SQRT_M1 * t * t % P
    u, v = (r + 1) * ONE_MINUS_D_SQ % P, (-1 - r * D) * (r + D) % P
    square, s = sqrt_ratio(u, v)
    c = -1
    if not square:
        s, c = -absolute(s * t % P) % P, r
    n = (c * (r - 1) * D_MINUS_ONE_SQ - v) % P
    w0, w1, w2, w3 = 2 * s * v, n * SQRT_AD_MINUS_ONE, 1 - s * s, 1 + s * s
    return Point(w0 * w3 % P, w2 * w1 % P, w1 * w3 % P, w0 * w2 % P)


def expand(message, tag):
    tag += bytes([len(tag)])
    b0 = hashlib.sha512(bytes(128) + message + struct.pack(">H", 64) + b"\0" + tag).digest()
    return hashlib.sha512(b0 + b"\1" + tag).digest()


def hash_to_scalar(message, tag):
    return int.from_bytes(expand(message, tag), "little") % L


def hash_to_point(message, tag):
    u = expand(message, tag)
    return one_way_map(u[:32]) + one_way_map(u[32:])


# --- docs/archive-format.md, sections 1 and 2 -------------------------------------------------------------------------

NAME = b"Sealpost archive v1 "
G = point(bytes.fromhex("e2f2ae0a6abc4e71a884a961c500515f58e30b6aa582dd8db6a65945e08d2d76"))
G2 = hash_to_point(NAME + b"second generator", NAME + b"second generator")


def sha(b):
    return hashlib.sha256(b).digest()


def labelled(label, b):
    return sha(NAME + label + b"\0" + b)


def blob16(b):
    return struct.pack(">H", len(b)) + b


def blob32(b):
    return struct.pack(">I", len(b)) + b


def total(points):
    r = IDENTITY
    for p in points:
        r = r + p
    return r


def key_encryption_key(z, r, y, info):
    return HKDF(hashes.SHA256(), 32, r + y, NAME + b"key encryption\0" + info).derive(z)


def ciphertext_challenge(y, r, r2, w, w2, binding):
    return hash_to_scalar(y + r + r2 + w + w2 + binding, NAME + b"ciphertext proof")


def prove_ciphertext(y, r, w, binding):
    c = ciphertext_challenge(y, (r * G).encode(), (r * G2).encode(), (w * G).encode(), (w * G2).encode(), binding)
    return encode_scalar(c) + encode_scalar(w + c * r)


def verify_ciphertext(y, r, r2, binding, proof):
    c, f = int.from_bytes(proof[:32], "little"), int.from_bytes(proof[32:], "little")
    assert c < L and f < L
    w, w2 = f * G + (L - c) * point(r), f * G2 + (L - c) * point(r2)
    assert c == ciphertext_challenge(y, r, r2, w.encode(), w2.encode(), binding)


def partials_transcript(case, epoch, agent, y, yi, rs, ds):
    head = case + struct.pack(">IH", epoch, agent) + y + yi + struct.pack(">I", len(rs))
    return labelled(b"partial decryptions", head + b"".join(rs + ds))


def verify_partials(case, epoch, agent, y, yi, rs, ds, proof):
    tag = NAME + b"partial decryptions\0" + partials_transcript(case, epoch, agent, y, yi, rs, ds)
    scalar_tag = b"HashToScalar-" + tag
    seed = sha(blob16(yi) + blob16(b"Seed-" + tag))
    m = v = IDENTITY
    for j, (r, d) in enumerate(zip(rs, ds, strict=True)):
        dj = hash_to_scalar(blob16(seed) + struct.pack(">H", j) + blob16(r) + blob16(d) + b"Composite", scalar_tag)
        m, v = m + dj * point(r), v + dj * point(d)
    c, s = int.from_bytes(proof[:32], "little"), int.from_bytes(proof[32:], "little")
    assert c < L and s < L
    parts = [G, point(yi), m, v, s * G + c * point(yi), s * m + c * v]
    assert c == hash_to_scalar(b"".join(blob16(p.encode()) for p in parts) + b"Challenge", scalar_tag)


def lambdas(ids):
    out = []
    for i in ids:
        top = bottom = 1
        for k in ids:
            if k != i:
                top, bottom = top * k, bottom * (k - i)
        out.append(top * pow(bottom, -1, L) % L)
    return out


def evaluate(coefficients, i):
    return sum(c * i**k for k, c in enumerate(coefficients)) % L


class Reader:
    def __init__(self, b, kind=None):
        self.b, self.i = b, 0
        if kind is not None:
            assert (self.u8(), self.u8()) == (1, kind)

    def raw(self, n):
        assert self.i + n <= len(self.b)
        self.i += n
        return self.b[self.i - n : self.i]

    def number(self, n):
        return int.from_bytes(self.raw(n), "big")

    def u8(self):
        return self.number(1)

    def u16(self):
        return self.number(2)

    def u32(self):
        return self.number(4)

    def time(self):
        return self.number(8)

    def hash(self):
        return self.raw(32)

    def uuid(self):
        return self.raw(16)

    def blob16(self):
        return self.raw(self.u16())

    def blob32(self):
        return self.raw(self.u32())

    def certificate(self):
        return x509.load_der_x509_certificate(self.blob16())

    def signature(self, public, statement=None):
        """Reads a signature and verifies it over what came before, or over the given statement."""
        statement = self.b[: self.i] if statement is None else statement
        assert self.u8() == 1
        digest = labelled(b"signature", statement)
        public.verify(self.blob16(), digest, ec.ECDSA(utils.Prehashed(hashes.SHA256())))
        return digest

    def end(self):
        assert self.i == len(self.b)


# --- the vectors ------------------------------------------------------------------------------------------------------


def unhex(v):
    """Turns every hexadecimal string of a vector into bytes."""
    if isinstance(v, dict):
        return {k: unhex(x) for k, x in v.items() if k != "Comment"}
    if isinstance(v, list):
        return [unhex(x) for x in v]
    return bytes.fromhex(v) if isinstance(v, str) else v


def refused(read, b):
    try:
        read(b)
    except ValueError:
        return
    raise AssertionError(b.hex())


def check_threshold(v):
    assert G2.encode() == v["SecondGenerator"]
    for b in v["BadPoints"]:
        refused(point, b)
    for b in v["BadScalars"]:
        refused(scalar, b)
    y = check_sharing(v["Sharing"])
    check_encapsulation(v["Encapsulation"], y)
    answers = {}
    for a in v["Partials"]:
        arguments = a["Case"], a["Epoch"], a["Agent"], y, a["Public"], a["R"], a["D"]
        assert partials_transcript(*arguments) == a["Transcript"]
        verify_partials(*arguments, a["Proof"])
        answers[a["Agent"]] = a["D"]
    for c in v["Combine"]:
        ls = lambdas(c["Agents"])
        assert [encode_scalar(l) for l in ls] == c["Lambdas"]
        for j, z in enumerate(c["Shared"]):
            assert total(l * point(answers[i][j]) for l, i in zip(ls, c["Agents"])).encode() == z
    check_reshare(v["Reshare"], y)


def check_sharing(v):
    coefficients = [scalar(c) for c in v["Coefficients"]]
    assert [(c * G).encode() for c in coefficients] == v["Commitments"]
    assert sha(v["Commitments"][0]) == v["KeyID"]
    for s in v["Shares"]:
        x = evaluate(coefficients, s["Agent"])
        assert encode_scalar(x) == s["Share"] and (x * G).encode() == s["Public"]
    return v["Commitments"][0]


def check_encapsulation(v, y):
    r = scalar(v["R"])
    assert (r * G).encode() == v["PointR"] and (r * G2).encode() == v["PointR2"] and (r * point(y)).encode() == v["Shared"]
    assert key_encryption_key(v["Shared"], v["PointR"], y, v["Info"]) == v["Key"]
    assert prove_ciphertext(y, r, scalar(v["Nonce"]), v["Binding"]) == v["Proof"]
    verify_ciphertext(y, v["PointR"], v["PointR2"], v["Binding"], v["Proof"])


def check_reshare(v, y):
    weights = lambdas([d["Dealer"] for d in v["Dealers"]])
    for d in v["Dealers"]:
        coefficients = [scalar(c) for c in d["Coefficients"]]
        assert [(c * G).encode() for c in coefficients] == d["Commitments"]
        assert [encode_scalar(evaluate(coefficients, i)) for i in range(1, 5)] == d["SubShares"]
    for k, c in enumerate(v["Joint"]):
        assert total(w * point(d["Commitments"][k]) for w, d in zip(weights, v["Dealers"])).encode() == c
    assert v["Joint"][0] == y
    for s in v["Shares"]:
        x = sum(w * scalar(d["SubShares"][s["Agent"] - 1]) for w, d in zip(weights, v["Dealers"])) % L
        assert encode_scalar(x) == s["Share"] and (x * G).encode() == s["Public"]


def read_plan(b):
    r, plan = Reader(b, 5), {}
    r.blob16(), r.raw(16), r.time()
    assert (r.u32(), r.u8(), r.hash()) == (1, 2, bytes(32))
    plan["t"] = r.u16()
    assert r.u8() == 0
    assert [r.u16() for _ in range(r.u16())] == [0]
    plan["dealer"] = serialization.load_der_public_key(r.blob16())
    plan["agents"] = [
        {"id": r.u16(), "person": r.uuid(), "name": r.blob16(), "signing": r.certificate(), "decryption": r.certificate()}
        for _ in range(r.u16())
    ]
    recipients = [(r.u8(), r.uuid(), r.blob16(), r.certificate()) for _ in range(r.u16())]
    r.end()
    fingerprints = [c.fingerprint(hashes.SHA256()) for _, _, _, c in recipients]
    assert fingerprints == sorted(fingerprints)
    plan["legal"] = [f for f, r in zip(fingerprints, recipients) if r[0] & 2]
    return plan


def check_ceremony(v, given, unseal):
    plan, plan_hash = read_plan(v["Plan"]), sha(v["Plan"])
    assert plan_hash == v["PlanHash"]
    coefficients = [scalar(c) for c in v["Coefficients"]]
    commitments = [(c * G).encode() for c in coefficients]
    assert len(commitments) == plan["t"]

    r = Reader(v["Commit"], 6)
    assert (r.hash(), r.u16()) == (plan_hash, 0)
    assert r.hash() == labelled(b"dealing", plan_hash + struct.pack(">H", 0) + b"".join(commitments))
    r.signature(plan["dealer"]), r.end()
    round1 = labelled(b"ceremony round 1", plan_hash + blob32(v["Commit"]))
    assert round1 == v["Round1"]

    r = Reader(given["Reveal"], 7)
    assert (r.hash(), r.u16(), r.hash()) == (plan_hash, 0, round1)
    assert [r.raw(32) for _ in range(r.u16())] == commitments
    sealed = [r.blob32() for _ in range(r.u16())]
    r.signature(plan["dealer"]), r.end()
    transcript = labelled(b"ceremony transcript", plan_hash + blob32(v["Commit"]) + blob32(given["Reveal"]))
    assert transcript == v["Transcript"]

    for a, s in zip(plan["agents"], sealed, strict=True):
        a["x"] = evaluate(coefficients, a["id"])
        a["y"] = (a["x"] * G).encode()
        r = Reader(unseal(s, a["name"].decode() + " decryption", a["decryption"]), 10)
        assert (r.hash(), r.u16(), r.u16(), scalar(r.raw(32))) == (plan_hash, 0, a["id"], a["x"])
        r.end()
    core = b"\1\x09" + blob32(v["Plan"]) + transcript + b"".join(commitments) + b"".join(a["y"] for a in plan["agents"])
    assert sha(core) == v["Core"] and sha(v["Roster"]) == v["Hash"]
    check_members(v, given, plan, core, unseal)
    return plan, commitments[0]


def check_members(v, given, plan, core, unseal):
    r = Reader(v["Roster"])
    assert r.raw(len(core)) == core
    for a, share, message in zip(plan["agents"], v["Shares"], given["Acknowledgement"], strict=True):
        sealed, begin = r.blob32(), r.i
        statement = b"\1\x08" + sha(core) + struct.pack(">H", a["id"]) + blob32(sealed)
        r.signature(a["signing"].public_key(), statement)
        assert message == statement + r.b[begin : r.i]
        assert unseal(sealed, a["name"].decode() + " decryption", a["decryption"]) == share
        s = Reader(share, 11)
        assert (s.hash(), s.u16(), scalar(s.raw(32))) == (sha(core), a["id"], a["x"])
        s.end()
    r.end()


def check_seal(v, wrapping, given, y):
    h = Reader(v["Header"], 1)
    assert h.u8() == 1
    header = {"spki": h.hash(), "algorithm": h.blob16(), "person": h.uuid(), "name": h.blob16(), "mail": h.blob16(), "time": h.time()}
    h.end()
    assert (header["algorithm"], header["name"], header["mail"]) == (b"rsa-3072", b"alice", b"alice@example.test")
    r, nonce = scalar(v["R"]), bytes(12)
    pr, pr2, z = (r * G).encode(), (r * G2).encode(), (r * point(y)).encode()
    k = key_encryption_key(z, pr, y, v["Header"])
    inner = AESGCM(v["DataKey"]).encrypt(nonce, v["PKCS8"], v["Header"])
    wrapped = AESGCM(k).encrypt(nonce, v["DataKey"], v["Header"] + sha(inner))
    assert (k, inner, sha(inner), wrapped) == (v["Key"], v["Inner"], v["InnerHash"], v["Wrapped"])
    before = b"\1\2" + blob16(v["Header"]) + sha(y) + sha(inner) + wrapped
    binding = labelled(b"capsule binding", before)
    capsule = before + pr + pr2 + prove_ciphertext(y, r, scalar(v["Nonce"]), binding)
    assert (binding, capsule, sha(capsule)) == (v["Binding"], v["Capsule"], v["Hash"])
    verify_ciphertext(y, pr, pr2, binding, capsule[-64:])
    assert labelled(b"wrapping key", wrapping["Public"]) == wrapping["ID"]
    rest = b"\1\3" + blob16(capsule) + wrapping["ID"]
    assert labelled(b"wrapping", rest) == v["HPKEInfo"]
    assert rest + blob32(given["Outer"]) == v["Record"]
    assert b"\1\4" + blob16(capsule) + blob32(inner) == v["InnerRecord"]
    return header, pr, z


def read_signed(v, kind, public):
    r = Reader(v["Signed"])
    assert r.raw(len(v["Statement"])) == v["Statement"]
    assert r.signature(public) == v["Digest"]
    r.end()
    return Reader(v["Statement"], kind)


def check_receipt(v, key, header, capsule, y):
    r = read_signed(v, 12, key)
    assert (r.hash(), r.hash(), r.hash()) == (header["spki"], sha(capsule), sha(y))
    r.time(), r.hash()
    assert r.hash() == sha(key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo))
    r.end()


def check_case(v, given, requester, roster, header, capsule, y):
    r = read_signed(v["Case"], 13, requester)
    r.uuid()
    assert (r.u8(), r.hash(), r.hash(), r.u32()) == (1, roster, sha(y), 1)
    assert (r.uuid(), r.blob16()) == (header["person"], header["name"])
    assert r.certificate().public_key() == requester
    r.blob16(), r.blob16()
    assert r.time() < r.time()
    assert r.u16() == 1
    recipient = r.certificate()
    assert (r.u16(), r.uuid(), r.u32(), r.hash()) == (1, header["person"], 1, sha(capsule))
    r.end()
    return recipient


def check_answers(v, given, plan, roster, recipient, pr, y, unseal):
    case, fingerprint = v["Case"]["Digest"], recipient.fingerprint(hashes.SHA256())
    partials = {}
    for raw, approval, sealed, i in zip(v["Partials"], v["Approvals"], given["Partials"], [1, 3], strict=True):
        agent = plan["agents"][i - 1]
        assert unseal(sealed, "alice decryption", recipient) == raw
        r = Reader(raw, 15)
        assert (r.hash(), r.hash(), r.u16(), r.hash(), r.u32()) == (case, roster, i, fingerprint, 1)
        partials[i] = r.raw(32)
        verify_partials(case, 1, i, y, agent["y"], [pr], [partials[i]], r.raw(64))
        r.end()
        r = read_signed(approval, 14, agent["signing"].public_key())
        assert (r.hash(), r.hash(), r.u32(), r.u16(), r.u8()) == (case, roster, 1, i, 1)
        r.time(), r.blob16()
        assert (r.u16(), r.hash(), r.hash(), r.hash()) == (1, fingerprint, sha(sealed), sha(raw))
        r.end()
    r = read_signed(v["Denial"], 14, plan["agents"][1]["signing"].public_key())
    assert (r.hash(), r.hash(), r.u32(), r.u16(), r.u8()) == (case, roster, 1, 2, 2)
    r.time(), r.blob16()
    assert r.u16() == 0
    r.end()
    return total(l * point(partials[i]) for l, i in zip(lambdas([1, 3]), [1, 3])).encode()


def check_folder(v, given, plan, roster, recipient, requester, keys, person, capsule, y):
    """What is sent around a case: answers, a dispute, and an auditor's consent to a legal case."""
    case, fingerprint = v["Case"]["Digest"], recipient.fingerprint(hashes.SHA256())
    approvals = [a["Signed"] for a in v["Approvals"]] + [v["Denial"]["Signed"]]
    for answer, approval, sealed in zip(v["Answers"], approvals, [[s] for s in given["Partials"]] + [[]], strict=True):
        assert answer == b"\1\x11" + blob32(approval) + struct.pack(">H", len(sealed)) + b"".join(map(blob32, sealed))
    r = read_signed(v["Dispute"], 18, requester)
    assert (r.hash(), r.hash(), r.u16(), r.hash(), r.hash()) == (case, roster, 3, fingerprint, sha(given["Partials"][1]))
    r.time()
    assert r.blob16() != b"" and r.certificate().public_key() == requester
    r.end()

    clerk, auditor = keys["clerk signing"].public_key(), keys["auditor signing"].public_key()
    r = read_signed(v["Legal"], 13, clerk)
    r.uuid()
    assert (r.u8(), r.hash(), r.hash(), r.u32()) == (3, roster, sha(y), 1)
    r.uuid(), r.blob16()
    assert r.certificate().public_key() == clerk
    r.blob16(), r.blob16(), r.time(), r.time()
    assert r.u16() == 1 and r.certificate().fingerprint(hashes.SHA256()) in plan["legal"]
    assert (r.u16(), r.uuid(), r.u32(), r.hash()) == (1, person, 1, sha(capsule))
    r.end()
    r = read_signed(v["Consent"], 19, auditor)
    assert r.hash() == v["Legal"]["Digest"]
    assert r.uuid() != bytes(16) and r.blob16() == b"auditor"
    assert r.certificate().public_key() == auditor
    assert r.time() > r.time()
    r.end()


def check_record(v, folder):
    keys = {n: ec.derive_private_key(int.from_bytes(k, "big"), ec.SECP256R1()) for n, k in v["Keys"].items()}

    def unseal(der, name, certificate):
        pem = keys[name].private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        (folder / "key").write_bytes(pem)
        (folder / "cert").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        command = ["openssl", "cms", "-decrypt", "-binary", "-inform", "DER", "-inkey", folder / "key", "-recip", folder / "cert"]
        return subprocess.run(command, input=der, capture_output=True, check=True).stdout

    given, seal = v["Given"], v["Seal"]
    plan, y = check_ceremony(v["Ceremony"], given, unseal)
    roster = v["Ceremony"]["Hash"]
    header, pr, z = check_seal(seal, v["Wrapping"], given, y)
    check_receipt(v["Receipt"], keys["receipts"].public_key(), header, seal["Capsule"], y)
    recipient = check_case(v["Case"], given, keys["alice signing"].public_key(), roster, header, seal["Capsule"], y)
    assert check_answers(v["Case"], given, plan, roster, recipient, pr, y, unseal) == z
    requester = keys["alice signing"].public_key()
    check_folder(v["Case"], given, plan, roster, recipient, requester, keys, header["person"], seal["Capsule"], y)
    k = key_encryption_key(z, pr, y, seal["Header"])
    data_key = AESGCM(k).decrypt(bytes(12), seal["Wrapped"], seal["Header"] + seal["InnerHash"])
    opened = AESGCM(data_key).decrypt(bytes(12), seal["Inner"], seal["Header"])
    assert opened == seal["PKCS8"] == v["Case"]["Opened"]


def main():
    here = pathlib.Path(__file__).resolve().parent
    threshold = here.parent.parent / "threshold" / "testdata" / "threshold.json"
    check_threshold(unhex(json.loads(threshold.read_text())))
    with tempfile.TemporaryDirectory() as folder:
        check_record(unhex(json.loads((here / "record.json").read_text())), pathlib.Path(folder))
    print("every vector is as docs/archive-format.md says")


if __name__ == "__main__":
    main()
