package agent_test

import (
	"testing"

	"github.com/sealpost/sealpost/internal/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }
