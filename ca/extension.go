package ca

import (
	"encoding/asn1"
	"fmt"

	"golang.org/x/crypto/cryptobyte"
	cryptobyte_asn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// profileExtensions are the extensions that are the same in every certificate of a profile, in DER.
type profileExtensions struct {
	keyUsage       map[KeyAlgorithm][]byte
	extKeyUsage    []byte
	policies       []byte
	shadowPolicies []byte // value alone, with the reserved policy that the profile claims; nil when it claims none
	capabilities   []byte // nil: none
	noCheck        []byte // nil: none
}

func (p *Profile) encode() error {
	e := &p.encoded
	e.keyUsage = make(map[KeyAlgorithm][]byte, len(p.keys))
	var err error
	keep := func(b []byte, failed error) []byte {
		if err == nil {
			err = failed
		}
		return b
	}
	for _, k := range p.keys {
		e.keyUsage[k] = keep(keyUsageExtension(keyUsageBits(p.keyUsage, k)))
	}
	e.extKeyUsage = keep(extension(oidExtKeyUsage, false, func(b *cryptobyte.Builder) {
		b.AddASN1(cryptobyte_asn1.SEQUENCE, func(b *cryptobyte.Builder) {
			for _, u := range p.usages {
				b.AddASN1ObjectIdentifier(u)
			}
		})
	}))
	e.policies = keep(policiesExtension(p.policy, p.cps))
	if p.claims != nil {
		e.shadowPolicies = valueOf(keep(policiesExtension(p.claims, p.cps)))
	}
	if len(p.capabilities) > 0 {
		e.capabilities = keep(capabilitiesExtension(p.capabilities))
	}
	if p.ocsp() {
		e.noCheck = keep(extension(oidOCSPNoCheck, false, func(b *cryptobyte.Builder) { b.AddASN1NULL() }))
	}
	if err != nil {
		return fmt.Errorf("encode profile %s: %w", p.name, err)
	}
	return nil
}

// ocsp reports whether this is the profile of a delegated OCSP responder, whose certificate says nothing of its own
// revocation (RFC 6960 §4.2.2.2.1, RFC 9919).
func (p *Profile) ocsp() bool { return containsOID(p.usages, oidOCSPSigning) }

// Bits of keyUsage (RFC 5280 §4.2.1.3), the first the most significant.
const (
	bitDigitalSignature = 0x80
	bitNonRepudiation   = 0x40
	bitKeyEncipherment  = 0x20
	bitKeyAgreement     = 0x08
	bitKeyCertSign      = 0x04
	bitCRLSign          = 0x02
)

// keyUsageBits turns what a key may do into bits: the S/MIME BR §7.1.2.3 e, RFC 5480 §3 and RFC 8410 §5 allow no others.
func keyUsageBits(u usage, k KeyAlgorithm) byte {
	var bits byte
	if u&digitalSignature != 0 {
		bits |= bitDigitalSignature
	}
	if u&nonRepudiation != 0 {
		bits |= bitNonRepudiation
	}
	if u&encipherment != 0 && k.rsa() {
		bits |= bitKeyEncipherment
	}
	if u&encipherment != 0 && !k.rsa() {
		bits |= bitKeyAgreement
	}
	return bits
}

// keyUsageExtension is always critical (RFC 8550 §4.4.2).
func keyUsageExtension(bits byte) ([]byte, error) {
	return extension(oidKeyUsage, true, func(b *cryptobyte.Builder) {
		unused := 0 // a named bit list has no trailing zeros in DER
		for bits != 0 && bits>>unused&1 == 0 {
			unused++
		}
		b.AddASN1(cryptobyte_asn1.BIT_STRING, func(b *cryptobyte.Builder) {
			b.AddUint8(uint8(unused))
			b.AddUint8(bits)
		})
	})
}

func policiesExtension(policy asn1.ObjectIdentifier, cps string) ([]byte, error) {
	return extension(oidPolicies, false, func(b *cryptobyte.Builder) {
		sequence(b, func(b *cryptobyte.Builder) {
			sequence(b, func(b *cryptobyte.Builder) {
				b.AddASN1ObjectIdentifier(policy)
				if cps == "" {
					return
				}
				sequence(b, func(b *cryptobyte.Builder) {
					sequence(b, func(b *cryptobyte.Builder) {
						b.AddASN1ObjectIdentifier(oidCPS)
						b.AddASN1(cryptobyte_asn1.IA5String, func(b *cryptobyte.Builder) { b.AddBytes([]byte(cps)) })
					})
				})
			})
		})
	})
}

// capabilitiesExtension lists ciphers without parameters (RFC 4262 §2; RFC 8551 §2.5.2: absent for AES, not NULL).
func capabilitiesExtension(list []asn1.ObjectIdentifier) ([]byte, error) {
	return extension(oidCapabilities, false, func(b *cryptobyte.Builder) {
		sequence(b, func(b *cryptobyte.Builder) {
			for _, c := range list {
				sequence(b, func(b *cryptobyte.Builder) { b.AddASN1ObjectIdentifier(c) })
			}
		})
	})
}

// subjectAltNames holds every mailbox and host (RFC 5280 §4.2.1.6, RFC 9598 §3). It is critical when the subject is
// empty.
func subjectAltNames(mailboxes []Mailbox, hosts []string, critical bool) ([]byte, error) {
	return extension(oidSubjectAltName, critical, func(b *cryptobyte.Builder) {
		sequence(b, func(b *cryptobyte.Builder) {
			for _, m := range mailboxes {
				if m.ascii() {
					b.AddASN1(rfc822NameTag, func(b *cryptobyte.Builder) { b.AddBytes([]byte(m.String())) })
					continue
				}
				b.AddASN1(otherNameTag, func(b *cryptobyte.Builder) {
					b.AddASN1ObjectIdentifier(oidSMTPUTF8)
					b.AddASN1(explicit0, func(b *cryptobyte.Builder) {
						b.AddASN1(cryptobyte_asn1.UTF8String, func(b *cryptobyte.Builder) { b.AddBytes([]byte(m.String())) })
					})
				})
			}
			for _, h := range hosts {
				b.AddASN1(dnsNameTag, func(b *cryptobyte.Builder) { b.AddBytes([]byte(h)) })
			}
		})
	})
}

// crlPoints holds every address of one list in one DistributionPoint, in the order given, and each list in one of its own
// (RFC 5280 §4.2.1.13).
func crlPoints(lists ...[]string) ([]byte, error) {
	return extension(oidCRLPoints, false, func(b *cryptobyte.Builder) {
		sequence(b, func(b *cryptobyte.Builder) {
			for _, urls := range lists {
				sequence(b, func(b *cryptobyte.Builder) {
					b.AddASN1(explicit0, func(b *cryptobyte.Builder) { // distributionPoint
						b.AddASN1(explicit0, func(b *cryptobyte.Builder) { // fullName
							for _, u := range urls {
								b.AddASN1(uriTag, func(b *cryptobyte.Builder) { b.AddBytes([]byte(u)) })
							}
						})
					})
				})
			}
		})
	})
}

// authorityInfo says where the issuer's certificate and the OCSP responder are (RFC 5280 §4.2.2.1).
func authorityInfo(caIssuers, ocsp string) ([]byte, error) {
	return extension(oidAuthorityInfo, false, func(b *cryptobyte.Builder) {
		sequence(b, func(b *cryptobyte.Builder) {
			for _, a := range []struct {
				method asn1.ObjectIdentifier
				url    string
			}{{oidOCSP, ocsp}, {oidCAIssuers, caIssuers}} {
				if a.url == "" {
					continue
				}
				sequence(b, func(b *cryptobyte.Builder) {
					b.AddASN1ObjectIdentifier(a.method)
					b.AddASN1(uriTag, func(b *cryptobyte.Builder) { b.AddBytes([]byte(a.url)) })
				})
			}
		})
	})
}

func subjectKeyID(id []byte) ([]byte, error) {
	return extension(oidSubjectKeyID, false, func(b *cryptobyte.Builder) { b.AddASN1OctetString(id) })
}

func authorityKeyID(id []byte) ([]byte, error) {
	return extension(oidAuthorityKeyID, false, func(b *cryptobyte.Builder) {
		sequence(b, func(b *cryptobyte.Builder) {
			b.AddASN1(cryptobyte_asn1.Tag(0).ContextSpecific(), func(b *cryptobyte.Builder) { b.AddBytes(id) })
		})
	})
}

func extension(id asn1.ObjectIdentifier, critical bool, value func(*cryptobyte.Builder)) ([]byte, error) {
	b := cryptobyte.NewBuilder(make([]byte, 0, 128))
	sequence(b, func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(id)
		if critical {
			b.AddASN1Boolean(true)
		}
		b.AddASN1(cryptobyte_asn1.OCTET_STRING, value)
	})
	return b.Bytes()
}

func sequence(b *cryptobyte.Builder, content cryptobyte.BuilderContinuation) {
	b.AddASN1(cryptobyte_asn1.SEQUENCE, content)
}

// valueOf returns the value of an extension in DER.
func valueOf(der []byte) []byte {
	var e, value cryptobyte.String
	in := cryptobyte.String(der)
	if !in.ReadASN1(&e, cryptobyte_asn1.SEQUENCE) || !e.SkipASN1(cryptobyte_asn1.OBJECT_IDENTIFIER) ||
		!e.SkipOptionalASN1(cryptobyte_asn1.BOOLEAN) || !e.ReadASN1(&value, cryptobyte_asn1.OCTET_STRING) {
		return nil
	}
	return value
}

// publicKeyBits returns the BIT STRING of a SubjectPublicKeyInfo.
func publicKeyBits(spki []byte) ([]byte, error) {
	var info, bits cryptobyte.String
	in := cryptobyte.String(spki)
	if !in.ReadASN1(&info, cryptobyte_asn1.SEQUENCE) || !info.SkipASN1(cryptobyte_asn1.SEQUENCE) ||
		!info.ReadASN1(&bits, cryptobyte_asn1.BIT_STRING) || len(bits) < 2 {
		return nil, ErrKeyEncoding
	}
	return bits[1:], nil
}
