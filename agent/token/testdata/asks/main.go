// Command asks says what a token place answers in this build.
package main

import (
	"fmt"

	"github.com/sealpost/sealpost/agent/token"
)

func main() {
	_, err := token.New(token.Config{Address: "/usr/lib/softhsm/libsofthsm2.so"}).Algorithms()
	fmt.Println(err)
}
