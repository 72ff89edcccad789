// The first process of a pod on the lab's node: it holds the pod's namespaces until it is asked to leave.
package main

import (
	"os"
	"os/signal"
	"syscall"
)

func main() {
	leave := make(chan os.Signal, 1)
	signal.Notify(leave, syscall.SIGTERM, syscall.SIGINT)
	<-leave
}
