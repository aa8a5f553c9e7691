package main

import (
	"path/filepath"

	"github.com/sealpost/sealpost/agent"
	"github.com/sealpost/sealpost/agent/pin"
	"github.com/sealpost/sealpost/agent/token"
	"github.com/sealpost/sealpost/agent/tpm"
)

// addPlaces notes what this run says about where signing keys may be.
func (s *session) addPlaces(settings *agent.Settings) (err error) {
	if s.tpm != "" {
		settings.TPM = s.tpm
	}
	if s.token != "" {
		settings.Token = s.token
	}
	if s.pinFile != "" {
		if settings.PINFile, err = filepath.Abs(s.pinFile); err != nil {
			return errFile.Because(err)
		}
	}
	return nil
}

// passphrase reads the one that keys are kept under, or asks for it.
func (s *session) passphrase() (string, error) {
	return s.secret("passphrase of your keys", s.passphraseFile, "SEALPOST_PASSPHRASE")
}

// places are those in which signing keys may be on this machine.
func (s *session) places(settings agent.Settings) []agent.Place {
	p := pin.Source{
		Given: settings.PINFile != "" || s.env("SEALPOST_PIN") != "",
		Read:  func(what string) (string, error) { return s.secret(what, settings.PINFile, "SEALPOST_PIN") },
	}
	return []agent.Place{tpm.New(tpm.Config{Address: settings.TPM, PIN: p}), token.New(token.Config{Address: settings.Token, PIN: p})}
}
