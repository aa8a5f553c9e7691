// A configuration profile for iPhone, iPad and Mac (.mobileconfig): a property list with a person's identities, the certificates above them,
// and, where the organisation says so, their mail account with the settings for S/MIME. Passphrases are not in it: the device asks.
import * as certificates from "./certificate";
import * as der from "./der";
import { Bytes } from "./der";

/** Settings are what the server says of the organisation (portal.mail). */
export interface Settings {
  organisation: string;
  account?: { imap: string; imapPort: number; smtp: string; smtpPort: number; login: "address" | "local" };
  sign: boolean;
  encrypt: boolean;
}

/** Identity is one key with its certificate, as a PKCS#12 of its own: a payload takes no more. */
export interface Identity {
  use: "signing" | "encryption" | "both";
  name: string;
  file: Bytes;
}

export interface Contents {
  person: { id: string; name: string; mailbox: string };
  identities: Identity[];
  chain: Bytes[]; // certificates in DER; what is there twice is written once
  settings: Settings;
}

type Value = string | number | boolean | Bytes | Value[] | { [key: string]: Value };

/** text is what XML can hold of it. */
const text = (s: string) => s.replace(/[^\t\n\r -\u{D7FF}\u{E000}-\u{FFFD}\u{10000}-\u{10FFFF}]/gu, "\uFFFD")
  .replace(/[&<>"'\r]/g, (c) => `&#${c.charCodeAt(0)};`);

function xml(v: Value): string {
  if (typeof v === "string") return `<string>${text(v)}</string>`;
  if (typeof v === "number") return `<integer>${v}</integer>`;
  if (typeof v === "boolean") return v ? "<true/>" : "<false/>";
  if (v instanceof Uint8Array) return `<data>${der.base64(v)}</data>`;
  if (Array.isArray(v)) return `<array>${v.map(xml).join("\n")}</array>`;
  return `<dict>${Object.entries(v).map(([key, value]) => `<key>${text(key)}</key>${xml(value)}`).join("\n")}</dict>`;
}

/** profile writes the property list. */
export function profile(c: Contents): Bytes {
  const base = "sealpost.person." + c.person.id;
  const payload = (type: string, name: string, shown: string, more: { [key: string]: Value }) =>
    ({ PayloadType: type, PayloadVersion: 1, PayloadIdentifier: `${base}.${name}`, PayloadUUID: crypto.randomUUID(), PayloadDisplayName: shown, ...more });
  const identities = c.identities.map((i) => ({ use: i.use, payload: payload("com.apple.security.pkcs12", i.use, i.name, { PayloadCertificateFileName: i.use + ".p12", PayloadContent: i.file }) }));
  const above = c.chain.filter((x, n) => c.chain.findIndex((y) => der.equal(x, y)) === n).map((x, n) => {
    const kind = certificates.isSelfIssued(certificates.parse(x)) ? "root" : "pkcs1";
    return payload("com.apple.security." + kind, `certificate-${n + 1}`, c.settings.organisation, { PayloadCertificateFileName: `certificate-${n + 1}.cer`, PayloadContent: x });
  });
  const of = (use: "signing" | "encryption") => identities.find((i) => i.use === use || i.use === "both")?.payload.PayloadUUID;
  const all: Value[] = [...identities.map((i) => i.payload), ...above];
  if (c.settings.account) all.push(payload("com.apple.mail.managed", "mail", c.settings.organisation, account(c, of("signing"), of("encryption"))));
  const whole = { ...payload("Configuration", "profile", c.settings.organisation, { PayloadOrganization: c.settings.organisation, PayloadContent: all }), PayloadIdentifier: base };
  return new TextEncoder().encode(`<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0">${xml(whole)}</plist>
`);
}

/** account are the settings of com.apple.mail.managed. Those of S/MIME are read by iOS and iPadOS; a Mac finds its identities itself. */
function account(c: Contents, signing?: string, encryption?: string): { [key: string]: Value } {
  const a = c.settings.account!;
  const login = a.login === "local" ? c.person.mailbox.slice(0, c.person.mailbox.lastIndexOf("@")) : c.person.mailbox;
  const out: { [key: string]: Value } = {
    EmailAccountType: "EmailTypeIMAP", EmailAccountDescription: c.settings.organisation, EmailAccountName: c.person.name, EmailAddress: c.person.mailbox,
    IncomingMailServerAuthentication: "EmailAuthPassword", IncomingMailServerHostName: a.imap, IncomingMailServerPortNumber: a.imapPort, IncomingMailServerUseSSL: true, IncomingMailServerUsername: login,
    OutgoingMailServerAuthentication: "EmailAuthPassword", OutgoingMailServerHostName: a.smtp, OutgoingMailServerPortNumber: a.smtpPort, OutgoingMailServerUseSSL: true, OutgoingMailServerUsername: login,
    OutgoingPasswordSameAsIncomingPassword: true,
  };
  if (signing) Object.assign(out, { SMIMESigningEnabled: c.settings.sign, SMIMESigningCertificateUUID: signing, SMIMESigningUserOverrideable: true, SMIMESigningCertificateUUIDUserOverrideable: true });
  if (encryption) {
    Object.assign(out, { SMIMEEncryptByDefault: c.settings.encrypt, SMIMEEncryptionCertificateUUID: encryption, SMIMEEncryptByDefaultUserOverrideable: true,
      SMIMEEncryptionCertificateUUIDUserOverrideable: true, SMIMEEnableEncryptionPerMessageSwitch: true });
  }
  return out;
}
