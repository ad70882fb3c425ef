//! Optimisers: momentum at the server, the update or the worker; clipping; weight decay; schedules.
