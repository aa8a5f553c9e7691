// Package marionettetest drives Mozilla's programs for tests, through their own protocol for that: Marionette. It is imported by tests' support only.
//
// It owns the protocol. Which program, in which profile, and what it is to do, is for the packages of the programs.
package marionettetest

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

// patience bounds a start, and each thing that a program is asked to do. The machine may be busy.
const patience = 3 * time.Minute

// session is a session of the protocol: messages are a length in decimal, a colon, and JSON, [0, id, command, parameters] there
// and [1, id, error, result] back.
type session struct {
	conn net.Conn
	in   *bufio.Reader
	last int

	prelude string
}

// connect waits until a program listens on a port of 127.0.0.1, and begins a session with all rights. What comes before each script is its prelude.
func connect(port int, prelude string, ended <-chan struct{}) (*session, error) {
	m := &session{prelude: prelude}
	for begin := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		conn, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err == nil {
			m.conn, m.in = conn, bufio.NewReader(conn)
			break
		}
		select {
		case <-ended:
			return m, errors.New("it ended at once; is it installed whole?")
		default:
		}
		if time.Since(begin) > patience {
			return m, err
		}
	}
	if _, err := m.receive(); err != nil { // its greeting
		return m, err
	}
	for _, c := range []struct {
		name       string
		parameters map[string]any
	}{
		{"WebDriver:NewSession", map[string]any{"strictFileInteractability": false}},
		{"Marionette:SetContext", map[string]any{"value": "chrome"}},
		{"WebDriver:SetTimeouts", map[string]any{"script": patience.Milliseconds()}},
	} {
		if _, err := m.command(c.name, c.parameters); err != nil {
			return m, err
		}
	}
	return m, nil
}

// close ends the session, if there is one.
func (m *session) close() error {
	if m == nil || m.conn == nil {
		return nil
	}
	return m.conn.Close()
}

func (m *session) receive() (json.RawMessage, error) {
	if err := m.conn.SetDeadline(time.Now().Add(patience + 30*time.Second)); err != nil {
		return nil, err
	}
	head, err := m.in.ReadString(':')
	if err != nil {
		return nil, err
	}
	n, err := strconv.Atoi(strings.TrimSuffix(head, ":"))
	if err != nil || n < 0 || n > 64<<20 {
		return nil, fmt.Errorf("a message of length %q", head)
	}
	body := make([]byte, n)
	_, err = io.ReadFull(m.in, body)
	return body, err
}

// command has the program do one thing of the protocol.
func (m *session) command(name string, parameters map[string]any) (json.RawMessage, error) {
	m.last++
	message, err := json.Marshal([]any{0, m.last, name, parameters})
	if err != nil {
		return nil, err
	}
	if _, err := fmt.Fprintf(m.conn, "%d:%s", len(message), message); err != nil {
		return nil, err
	}
	for {
		body, err := m.receive()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		var answer [4]json.RawMessage
		var id int
		if err := json.Unmarshal(body, &answer); err != nil {
			return nil, err
		}
		if err := json.Unmarshal(answer[1], &id); err != nil {
			return nil, err
		}
		switch {
		case id != m.last:
		case string(answer[2]) != "null":
			return nil, fmt.Errorf("%s: %s", name, answer[2])
		default:
			return answer[3], nil
		}
	}
}

// common is there for every script.
const common = `
const {setTimeout} = ChromeUtils.importESModule("resource://gre/modules/Timer.sys.mjs");
const certificates = Cc["@mozilla.org/security/x509certdb;1"].getService(Ci.nsIX509CertDB);
const sleep = ms => new Promise(r => setTimeout(r, ms));
const until = async (f, what) => {
	for (const begin = Date.now(); ; await sleep(50)) {
		let v; try { v = f() } catch (e) { v = null }
		if (v) return v;
		if (Date.now() - begin > 90000) throw new Error("no " + what);
	}
};
`

// run runs a script, as the body of an async function of a0, a1, …, and returns what it returns.
func (m *session) run(script string, args ...any) (any, error) {
	if args == nil {
		args = []any{}
	}
	names := make([]string, len(args))
	for i := range args {
		names[i] = fmt.Sprintf("a%d,", i)
	}
	text := "let [" + strings.Join(names, "") + "done] = arguments; (async () => {" + common + m.prelude + script +
		"})().then(v => done({value: v === undefined ? null : v}), e => done({error: String(e) + ' ' + (e.stack || '')}));"
	raw, err := m.command("WebDriver:ExecuteAsyncScript", map[string]any{"script": text, "args": args, "sandbox": "system", "newSandbox": true})
	if err != nil {
		return nil, err
	}
	var answer struct {
		Value struct {
			Value any    `json:"value"`
			Error string `json:"error"`
		} `json:"value"`
	}
	if err := json.Unmarshal(raw, &answer); err != nil {
		return nil, err
	}
	if answer.Value.Error != "" {
		return nil, errors.New(answer.Value.Error)
	}
	return answer.Value.Value, nil
}
