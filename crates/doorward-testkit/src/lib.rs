//! The server inside the test, a browser, a clock that moves by hand.
