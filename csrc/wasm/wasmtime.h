/*
** wasmtime.h: what we use of wasmtime's C interface, declared by us: its library is opened at run time.
**
** All objects are opaque. Handles of functions, memories and instances are plain bytes that are only valid with their
** store; the room for them is larger than any release has needed, so that nothing depends on their layout.
*/
#ifndef LSC_WASMTIME_H
#define LSC_WASMTIME_H

#include <stdbool.h>

/* Owned where a call fills it. */
typedef struct WtBytes { size_t n; char *a; } WtBytes;

/* One argument or result, 16 bytes. Numbers are little-endian, as in the memory of a module. */
typedef union WtRaw { int i32v; i64 i64v; double f64v; u8 a[16]; } WtRaw;

typedef struct WtHandle { u64 a[4]; } WtHandle;
typedef struct WtExtern { u8 kind; WtHandle of; } WtExtern;
enum { WT_FUNC = 0, WT_MEMORY = 3 };
enum { WT_I32 = 0, WT_I64 = 1, WT_F32 = 2, WT_F64 = 3 };

/* Result of a callback at a deadline: NULL goes on for *pDelta ticks. Owned by wasmtime. */
typedef void *(*WtDeadline)(void *pContext, void *pArg, u64 *pDelta, u8 *pKind);

/* Name, result, parameters. Those that return void* and are marked E give an error, or NULL; the caller owns it. */
#define LSC_WASMTIME_ROUTINES(X) \
  X(wasm_config_new, void*, (void)) \
  X(wasm_engine_new_with_config, void*, (void*)) \
  X(wasm_byte_vec_delete, void, (WtBytes*)) \
  X(wasm_trap_delete, void, (void*)) \
  X(wasm_trap_message, void, (const void*, WtBytes*)) \
  X(wasmtime_config_epoch_interruption_set, void, (void*, bool)) \
  X(wasmtime_config_consume_fuel_set, void, (void*, bool)) \
  X(wasmtime_config_signals_based_traps_set, void, (void*, bool)) \
  X(wasmtime_config_parallel_compilation_set, void, (void*, bool)) \
  X(wasmtime_config_max_wasm_stack_set, void, (void*, size_t)) \
  X(wasmtime_config_memory_reservation_set, void, (void*, u64)) \
  X(wasmtime_config_memory_guard_size_set, void, (void*, u64)) \
  X(wasmtime_engine_increment_epoch, void, (void*)) \
  X(wasmtime_wat2wasm, void*, (const char*, size_t, WtBytes*)) \
  X(wasmtime_module_new, void*, (void*, const u8*, size_t, void**)) \
  X(wasmtime_module_delete, void, (void*)) \
  X(wasmtime_store_new, void*, (void*, void*, void(*)(void*))) \
  X(wasmtime_store_context, void*, (void*)) \
  X(wasmtime_store_delete, void, (void*)) \
  X(wasmtime_store_limiter, void, (void*, i64, i64, i64, i64, i64)) \
  X(wasmtime_store_epoch_deadline_callback, void, (void*, WtDeadline, void*, void(*)(void*))) \
  X(wasmtime_context_set_epoch_deadline, void, (void*, u64)) \
  X(wasmtime_context_set_fuel, void*, (void*, u64)) \
  X(wasmtime_context_set_wasi, void*, (void*, void*)) \
  X(wasmtime_linker_new, void*, (void*)) \
  X(wasmtime_linker_delete, void, (void*)) \
  X(wasmtime_linker_define_wasi, void*, (void*)) \
  X(wasmtime_linker_instantiate, void*, (const void*, void*, const void*, WtHandle*, void**)) \
  X(wasi_config_new, void*, (void)) \
  X(wasmtime_instance_export_get, bool, (void*, const WtHandle*, const char*, size_t, WtExtern*)) \
  X(wasmtime_func_call_unchecked, void*, (void*, const WtHandle*, WtRaw*, size_t, void**)) \
  X(wasmtime_memory_data, u8*, (const void*, const WtHandle*)) \
  X(wasmtime_memory_data_size, size_t, (const void*, const WtHandle*)) \
  X(wasmtime_trap_code, bool, (const void*, u8*)) \
  X(wasmtime_error_new, void*, (const char*)) \
  X(wasmtime_error_message, void, (const void*, WtBytes*)) \
  X(wasmtime_error_delete, void, (void*))

/* What a module may not use: switched off where the library knows it. */
#define LSC_WASMTIME_OFF(X) \
  X(wasmtime_config_wasm_threads_set) \
  X(wasmtime_config_shared_memory_set) \
  X(wasmtime_config_wasm_memory64_set) \
  X(wasmtime_config_wasm_multi_memory_set) \
  X(wasmtime_config_wasm_function_references_set) \
  X(wasmtime_config_wasm_gc_set) \
  X(wasmtime_config_wasm_exceptions_set) \
  X(wasmtime_config_wasm_stack_switching_set) \
  X(wasmtime_config_wasm_custom_page_sizes_set) \
  X(wasmtime_config_wasm_compact_imports_set) \
  X(wasmtime_config_wasm_component_model_set) \
  X(wasmtime_config_concurrency_support_set) \
  X(wasmtime_config_native_unwind_info_set)

#define LSC_WASMTIME_FIELD(name, result, args) result (*name) args;
typedef struct Wasmtime { LSC_WASMTIME_ROUTINES(LSC_WASMTIME_FIELD) } Wasmtime;

#endif
